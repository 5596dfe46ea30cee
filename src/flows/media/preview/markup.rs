//! Which tags does a page have, and what do they say? ([tokenization](https://html.spec.whatwg.org/multipage/parsing.html#tokenization))
//!
//! Of the specification's tokenizer this is what tags of a page's head take: comments, attributes, and elements whose
//! text is no markup. What nests in what is not looked at. The text is gone through once, whatever is in it, and nothing
//! of it is copied.

use super::entities;

/// How many attributes of a tag are kept.
const MOST_ATTRIBUTES: usize = 32;
/// Elements whose text is no markup.
const TEXT: [&str; 8] =
    ["title", "script", "style", "textarea", "iframe", "xmp", "noembed", "noframes"];

/// A page, from where it is not read yet.
pub struct Markup<'a> {
    rest: &'a str,
    /// The element that was begun, if its text is no markup.
    text_of: Option<&'a str>,
    /// How many drawings or formulas, and how many templates, were begun and not ended.
    foreign: usize,
    templates: usize,
    /// The same of elements of a drawing that are called so: they hide nothing.
    drawn: usize,
}

/// What a tag stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Page,
    /// A drawing or a formula: elements have the names of others there, and may be empty.
    Foreign,
    /// What the page does not show.
    Template,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Start(Tag<'a>),
    End(&'a str),
    /// The text of an element in which there is no markup.
    Text(&'a str),
}

/// The beginning of an element.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    /// Whether it ends in `/>`.
    is_empty: bool,
    context: Context,
}

impl Tag<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub fn context(&self) -> Context {
        self.context
    }

    /// What an attribute says.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let mut named = self.attributes.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| entities::decoded(value))
    }
}

impl<'a> Markup<'a> {
    pub fn of(html: &'a str) -> Self {
        Self { rest: html, text_of: None, foreign: 0, templates: 0, drawn: 0 }
    }

    /// Notes that an element begins: where its tag stands, and whether its text is markup.
    fn begin(&mut self, tag: &mut Tag<'a>) {
        tag.context = match (self.templates, self.foreign) {
            (0, 0) => Context::Page,
            (0, _) => Context::Foreign,
            _ => Context::Template,
        };
        let is_empty = tag.is_empty && tag.context == Context::Foreign;
        let has_text = !is_empty && TEXT.iter().any(|text| tag.is(text));
        self.text_of = has_text.then_some(tag.name);
        if tag.is("template") && self.foreign == 0 {
            self.templates = self.templates.saturating_add(1);
        } else if tag.is("template") && !tag.is_empty {
            self.drawn = self.drawn.saturating_add(1);
        } else if is_foreign(tag.name) && !tag.is_empty {
            self.foreign = self.foreign.saturating_add(1);
        }
    }

    fn end(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("template") && self.drawn > 0 {
            self.drawn = self.drawn.saturating_sub(1);
        } else if name.eq_ignore_ascii_case("template") && self.templates > 0 {
            self.templates = self.templates.saturating_sub(1);
            // It ends the drawings in it.
            self.foreign = 0;
        } else if is_foreign(name) {
            self.foreign = self.foreign.saturating_sub(1);
            self.drawn = if self.foreign == 0 { 0 } else { self.drawn };
        }
    }

    /// The text up to where this element ends.
    fn text(&mut self, name: &str) -> &'a str {
        let (all, mut from) = (self.rest, 0_usize);
        while let Some(found) = all.get(from..).and_then(|rest| rest.find("</")) {
            let begin = from.saturating_add(found);
            from = begin.saturating_add(2);
            let after = all.get(from..).unwrap_or_default();
            let is_named =
                after.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name));
            let after = after.get(name.len()..).unwrap_or_default();
            if is_named && after.starts_with(ends_name) {
                let (text, rest) = all.split_at_checked(begin).unwrap_or((all, ""));
                self.rest = rest;
                return text;
            }
        }
        self.rest = "";
        all
    }

    /// Reads a tag from its name on; none where the page ends before it does.
    fn tag(&mut self, text: &'a str) -> Option<Tag<'a>> {
        let (name, mut rest) = text.split_at_checked(text.find(ends_name)?)?;
        let mut attributes = Vec::new();
        loop {
            let before = rest;
            rest = rest.trim_start_matches(|each| is_space(each) || each == '/');
            let is_empty = before.strip_suffix(rest).is_some_and(|between| between.ends_with('/'));
            if let Some(rest) = rest.strip_prefix('>') {
                self.rest = rest;
                return Some(Tag { name, attributes, is_empty, context: Context::Page });
            }
            // A `=` without a name before it begins one.
            let begin = usize::from(rest.starts_with('='));
            let length = rest.get(begin..)?.find(|each| ends_name(each) || each == '=')?;
            let (key, after) = rest.split_at_checked(begin.saturating_add(length))?;
            let value = after.trim_start_matches(is_space).strip_prefix('=');
            let (value, after) = value.map_or(Some(("", after)), value_of)?;
            if attributes.len() < MOST_ATTRIBUTES {
                attributes.push((key, value));
            }
            rest = after;
        }
    }
}

impl<'a> Iterator for Markup<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.text_of.take() {
            return Some(Token::Text(self.text(name)));
        }
        loop {
            let (_, after) = self.rest.split_once('<')?;
            self.rest = after;
            if let Some(comment) = after.strip_prefix("!--") {
                self.rest = after_comment(comment)?;
                continue;
            }
            let ended = after.strip_prefix('/');
            let named = ended.unwrap_or(after);
            if named.starts_with(|each: char| each.is_ascii_alphabetic()) {
                let mut tag = self.tag(named)?;
                if ended.is_some() {
                    self.end(tag.name);
                    return Some(Token::End(tag.name));
                }
                self.begin(&mut tag);
                return Some(Token::Start(tag));
            }
            if ended.is_some() || after.starts_with(['!', '?']) {
                self.rest = after.split_once('>')?.1;
            }
        }
    }
}

/// The value of an attribute, from behind its `=` on, and what follows.
fn value_of(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    match (text.strip_prefix('"'), text.strip_prefix('\'')) {
        (Some(quoted), _) => quoted.split_once('"'),
        (_, Some(quoted)) => quoted.split_once('\''),
        _ => text.split_at_checked(text.find(|each| is_space(each) || each == '>')?),
    }
}

/// What follows a comment, of which this is all but its beginning.
fn after_comment(comment: &str) -> Option<&str> {
    let at_once = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->"));
    if at_once.is_some() {
        return at_once;
    }
    let mut rest = comment;
    loop {
        rest = rest.get(rest.find("--")?..)?;
        let end = rest.strip_prefix("-->").or_else(|| rest.strip_prefix("--!>"));
        if end.is_some() {
            return end;
        }
        rest = rest.get(1..)?;
    }
}

fn is_foreign(name: &str) -> bool {
    ["svg", "math"].iter().any(|foreign| name.eq_ignore_ascii_case(foreign))
}

fn ends_name(each: char) -> bool {
    is_space(each) || matches!(each, '/' | '>')
}

fn is_space(each: char) -> bool {
    matches!(each, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tags of a page, with their attributes, and texts.
    fn read(html: &str) -> Vec<String> {
        let tokens = Markup::of(html).map(|token| match token {
            Token::Start(tag) => {
                let said = tag.attributes.iter().map(|(key, value)| format!(" {key}={value}"));
                format!("<{}{}>", tag.name, said.collect::<String>())
            }
            Token::End(name) => format!("</{name}>"),
            Token::Text(text) => text.to_owned(),
        });
        tokens.collect()
    }

    #[test]
    fn attributes_are_read_however_they_are_written() {
        for (html, tag) in [
            (r#"<meta a="1" b='2' c=3>"#, "<meta a=1 b=2 c=3>"),
            ("<meta\na = \"1\"\tb\r\n=2 />", "<meta a=1 b=2>"),
            (r#"<meta a="x > y" b>"#, "<meta a=x > y b=>"),
            (r#"<meta a="1"b="2">"#, "<meta a=1 b=2>"),
            ("<meta a=b/c>", "<meta a=b/c>"),
            ("<meta a=>", "<meta a=>"),
            ("<meta =a=b>", "<meta =a=b>"),
            ("<br/>", "<br>"),
            ("<META A=\"ä\">", "<META A=ä>"),
        ] {
            assert_eq!(read(html), [tag], "{html}");
        }
    }

    #[test]
    fn what_is_no_markup_is_not_taken_for_it() {
        for html in [
            "<!-- <meta a=b> -->",
            "<!-- <meta a=b> --!>",
            "<!---><!DOCTYPE html><?xml version=\"1.0\"?></ a>1 < 2",
            "<!-- <meta a=b>",
            "<meta a=\"b",
            "<meta a=b",
            "<meta",
            "<",
            "",
        ] {
            assert_eq!(read(html), [""; 0], "{html}");
        }
        let script = "<script>if (a</b/.test(c)) d('<meta a=b>')</scripts></SCRIPT x><p>";
        let text = "if (a</b/.test(c)) d('<meta a=b>')</scripts>";
        assert_eq!(read(script), ["<script>", text, "</SCRIPT>", "<p>"]);
        assert_eq!(read("<!----><p><!-- a ---><b>"), ["<p>", "<b>"]);
        assert_eq!(read("<title>a <b> &amp; c"), ["<title>", "a <b> &amp; c"]);
    }

    #[test]
    fn a_tag_knows_what_it_stands_in() {
        let contexts = |html| -> Vec<Context> {
            let started = Markup::of(html).filter_map(|token| match token {
                Token::Start(tag) => Some(tag.context),
                Token::End(_) | Token::Text(_) => None,
            });
            started.collect()
        };
        let (shown, foreign, template) = (Context::Page, Context::Foreign, Context::Template);
        assert_eq!(contexts("<SVG><title>a</title></svg><p>"), [shown, foreign, shown]);
        assert_eq!(contexts("<svg><title/><path/></svg><p>"), [shown, foreign, foreign, shown]);
        assert_eq!(contexts("<svg /><math/></svg><title/><p>"), [shown, shown, shown]);
        assert_eq!(contexts("<template/><svg></svg></template><p>"), [shown, template, shown]);
        for drawing in ["<svg><template/></svg><p>", "<svg><template></template></svg><p>"] {
            assert_eq!(contexts(drawing), [shown, foreign, shown], "{drawing}");
        }
        assert_eq!(contexts("<math><template></math><template><p>")[2..], [shown, template]);
        assert_eq!(contexts("<template><svg></template><p>"), [shown, template, shown]);
        let within = "<template><svg><template></template></svg><p></template><p>";
        assert_eq!(contexts(within), [shown, template, template, template, shown]);
    }

    #[test]
    fn the_first_of_equal_attributes_counts() {
        let Some(Token::Start(tag)) = Markup::of("<a B=&lt;1 b=2>").next() else { panic!() };
        assert_eq!(tag.attribute("b").as_deref(), Some("<1"));
        assert_eq!(tag.attribute("c"), None);
    }

    #[test]
    fn a_hostile_page_is_read_in_one_go() {
        // Read again from each of its tags, any of these would take hours.
        for part in ["<", "</", "<!--", "<a ", "<a b=\"", "<title>", "<script></", "--", "<p>", "&"]
        {
            let html = part.repeat((1 << 20) / part.len());
            Markup::of(&html).for_each(drop);
        }
        let many = format!("<meta {}content=a>", "b=c ".repeat(200_000));
        let Some(Token::Start(tag)) = Markup::of(&many).next() else { panic!() };
        assert_eq!(tag.attributes.len(), MOST_ATTRIBUTES);
    }
}
