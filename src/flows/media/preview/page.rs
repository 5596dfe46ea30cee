//! What does a page say of itself? ([OpenGraph](https://ogp.me/), [Twitter cards](https://developer.x.com/en/docs/x-for-websites/cards/overview/markup))
//!
//! What it says to others who show it comes first, then what it says to those who read it. All of it is text of strangers:
//! it is cut to a bounded size, and of names only those of OpenGraph are passed on.

use std::collections::BTreeMap;

use super::markup::{Markup, Tag, Token};

/// How many things a page may say, and how long name and value of each may be (characters).
const MOST: usize = 50;
const LONGEST_NAME: usize = 50;
const LONGEST_VALUE: usize = 1000;
/// How long all of it may be together (bytes).
const LONGEST: usize = 16 << 10;
/// An image that is not larger to any side is no picture of the page (pixels).
const TINY: u32 = 10;

const TITLE: &str = "og:title";
const DESCRIPTION: &str = "og:description";
const SITE_NAME: &str = "og:site_name";
/// What the image shows, for who cannot see it.
pub const IMAGE_ALT: &str = "og:image:alt";

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// By the names of OpenGraph, all of which begin with `og:`; nothing of the image but what it is described as.
    pub properties: BTreeMap<String, String>,
    /// A link to an image.
    pub image: Option<String>,
}

/// Reads a page.
pub fn read(text: &str) -> Said {
    let mut page = Page::default();
    let mut is_title = false;
    for token in Markup::of(text) {
        match token {
            Token::Start(tag) if tag.is("body") && page.is_told() => break,
            Token::Start(tag) => {
                is_title = tag.is("title");
                page.tag(&tag);
            }
            Token::Text(text) if is_title && page.title.is_none() => {
                page.title = value(&super::entities::decoded(text));
            }
            Token::Text(_) | Token::End(_) => {}
        }
    }
    page.said()
}

#[derive(Default)]
struct Page {
    properties: BTreeMap<String, String>,
    /// How many bytes these have.
    size: usize,
    image: Option<String>,
    /// What Twitter cards say, by the names of OpenGraph.
    card: BTreeMap<&'static str, String>,
    card_image: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// An image that is meant for the page, else the first in it.
    meant: Option<String>,
    first: Option<String>,
}

impl Page {
    /// Whether nothing in its body could add to what is shown.
    fn is_told(&self) -> bool {
        [TITLE, DESCRIPTION].iter().all(|name| self.properties.contains_key(*name))
            && self.image.is_some()
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        if tag.is("meta") {
            self.meta(tag);
        } else if tag.is("link") && self.meant.is_none() {
            let is_image =
                tag.attribute("rel").is_some_and(|rel| rel.eq_ignore_ascii_case("image_src"));
            self.meant = tag.attribute("href").filter(|link| is_image && !link.trim().is_empty());
        } else if tag.is("img") && self.first.is_none() && !is_tiny(tag) {
            // What the page brings along is no link.
            let source =
                tag.attribute("src").filter(|link| !link.trim_start().starts_with("data:"));
            self.first = source.filter(|link| !link.trim().is_empty());
        }
    }

    fn meta(&mut self, tag: &Tag<'_>) {
        let Some(content) = tag.attribute("content").filter(|content| !content.trim().is_empty())
        else {
            return;
        };
        for names in [tag.attribute("property"), tag.attribute("name")].into_iter().flatten() {
            for name in names.to_ascii_lowercase().split_ascii_whitespace() {
                self.named(name, &content);
            }
        }
        let is_image = tag.attribute("itemprop").is_some_and(|of| of.eq_ignore_ascii_case("image"));
        if is_image && self.meant.is_none() {
            self.meant = Some(content);
        }
    }

    /// Takes what is said under a name. What is said first counts.
    fn named(&mut self, name: &str, content: &str) {
        let of_card = match name {
            "og:image" | "og:image:url" | "og:image:secure_url" => {
                self.image.get_or_insert_with(|| content.to_owned());
                return;
            }
            "twitter:image" | "twitter:image:src" => {
                self.card_image.get_or_insert_with(|| content.to_owned());
                return;
            }
            "description" => {
                self.description = self.description.take().or_else(|| value(content));
                return;
            }
            "twitter:title" => TITLE,
            "twitter:description" => DESCRIPTION,
            "twitter:site" => SITE_NAME,
            _ => {
                self.property(name, content);
                return;
            }
        };
        if let Some(value) = value(content) {
            self.card.entry(of_card).or_insert(value);
        }
    }

    fn property(&mut self, name: &str, content: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte);
        let fits = name.strip_prefix("og:").is_some_and(|rest| !rest.is_empty())
            && name.len() <= LONGEST_NAME
            && name.bytes().all(is_plain);
        // The size and type are those of the image that is kept.
        let is_images = name.starts_with("og:image:") && name != IMAGE_ALT;
        if !fits || is_images || self.properties.contains_key(name) {
            return;
        }
        // A text says something also where its end is missing; nothing else does.
        let is_text = [TITLE, DESCRIPTION, SITE_NAME].contains(&name);
        if !is_text && content.chars().nth(LONGEST_VALUE).is_some() {
            return;
        }
        let Some(value) = value(content) else { return };
        let size = self.size.saturating_add(name.len()).saturating_add(value.len());
        if self.properties.len() < MOST && size <= LONGEST {
            self.size = size;
            self.properties.insert(name.to_owned(), value);
        }
    }

    fn said(self) -> Said {
        let Self { mut properties, card, title, description, .. } = self;
        for (name, value) in card {
            properties.entry(name.to_owned()).or_insert(value);
        }
        for (name, value) in [(TITLE, title), (DESCRIPTION, description)] {
            if let Some(value) = value {
                properties.entry(name.to_owned()).or_insert(value);
            }
        }
        let image = self.image.or(self.card_image).or(self.meant).or(self.first);
        Said { properties, image }
    }
}

/// Whether an image says that it is too small to be a picture.
fn is_tiny(tag: &Tag<'_>) -> bool {
    let side = |name| tag.attribute(name).and_then(|side| side.trim().parse::<u32>().ok());
    ["width", "height"].into_iter().filter_map(side).any(|side| side <= TINY)
}

/// A text on one line, cut to its longest; none where nothing is left.
fn value(text: &str) -> Option<String> {
    let mut value = String::new();
    let words = text.split(|each: char| each.is_whitespace() || each.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(word);
        // A character has four bytes at most.
        if value.len() > 4 * LONGEST_VALUE {
            break;
        }
    }
    if value.chars().nth(LONGEST_VALUE).is_some() {
        value = value.chars().take(LONGEST_VALUE - 1).chain(['…']).collect();
    }
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(page: &str) -> Vec<(String, String)> {
        let Said { properties, image } = read(page);
        let image = image.map(|image| ("image".to_owned(), image));
        properties.into_iter().chain(image).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_page_says_what_opengraphs_example_says() {
        let page = r#"<html prefix="og: https://ogp.me/ns#"><head><title>The Rock (1996)</title>
            <meta property="og:title" content="The Rock" />
            <meta property="og:type" content="video.movie" />
            <meta property="og:url" content="https://www.imdb.com/title/tt0117500/" />
            <meta property="og:image" content="https://ia.media-imdb.com/images/rock.jpg" />
            </head></html>"#;
        let expected = pairs(&[
            ("og:title", "The Rock"),
            ("og:type", "video.movie"),
            ("og:url", "https://www.imdb.com/title/tt0117500/"),
            ("image", "https://ia.media-imdb.com/images/rock.jpg"),
        ]);
        assert_eq!(said(page), expected);
    }

    #[test]
    fn what_is_not_said_to_others_is_taken_from_the_page() {
        let page = "<title>\n Fish &amp;\n chips </title><meta name=Description content='Good &lt;food&gt;'>
            <body><svg><title>x</title></svg><img src=pixel width=1 height=1><img src='data:image/gif,a'>
            <img src='/a.png?b&amp;c'><img src=/d.png>";
        let expected = pairs(&[
            ("og:description", "Good <food>"),
            ("og:title", "Fish & chips"),
            ("image", "/a.png?b&c"),
        ]);
        assert_eq!(said(page), expected);
        assert_eq!(said("<link rel=image_src href=a><img src=b>"), pairs(&[("image", "a")]));
        assert_eq!(said("<img src=b><meta itemprop=image content=a>"), pairs(&[("image", "a")]));
    }

    #[test]
    fn a_card_fills_what_opengraph_leaves_open() {
        let page = r#"<meta name="twitter:title" content="card"><meta name="twitter:site" content="@site">
            <meta name="twitter:card" content="summary"><meta name="twitter:image" content="card.png">
            <meta name="twitter:description" content="more"><meta name="og:title" content="graph">
            <meta name="description" content="page"><meta property="og:title" content="again">"#;
        let expected = pairs(&[
            ("og:description", "more"),
            ("og:site_name", "@site"),
            ("og:title", "graph"),
            ("image", "card.png"),
        ]);
        assert_eq!(said(page), expected);
    }

    #[test]
    fn nothing_but_opengraph_is_passed_on() {
        let page = r#"<meta property="matrix:image:size" content="1"><meta property="og:" content="1">
            <meta property="article:author" content="1"><meta property="og:a b" content="1">
            <meta property="og:ä" content="1"><meta property="og:image:width" content="1">
            <meta property="og:image:height" content="1"><meta property="og:image:type" content="text/html">
            <meta property="OG:Locale" content="de"><meta property="og:image:alt" content="A rock">
            <meta property="og:empty" content=""><meta property="og:blank" content=" &#10; "><meta property="og:image" content=" ">
            <!-- <meta property="og:hidden" content="1"> --><script>'<meta property="og:script" content="1">'</script>"#;
        let mut expected = pairs(&[("og:image:alt", "A rock"), ("og:locale", "de")]);
        // Names are separated by spaces.
        expected.insert(0, ("og:a".to_owned(), "1".to_owned()));
        assert_eq!(said(page), expected);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_left_out() {
        let long = "word ".repeat(10_000);
        let page = format!(
            "<meta property=og:title content='{long}'><meta property=og:video content='https://a.org/{}'>",
            "b".repeat(1000)
        );
        let Said { properties, .. } = read(&page);
        let title = &properties[TITLE];
        assert!(title.ends_with("…") && title.starts_with("word word"), "{title}");
        assert!(title.chars().count() <= LONGEST_VALUE);
        assert_eq!(properties.len(), 1);
        let wide = format!("<title>{}</title>", "ä".repeat(5000));
        assert_eq!(read(&wide).properties[TITLE].chars().count(), LONGEST_VALUE);
        let many = |value: &str| -> String {
            let each = |place| format!("<meta property=og:x{place} content='{value}'>");
            (0..1000).map(each).collect()
        };
        assert_eq!(read(&many("a")).properties.len(), MOST);
        let properties = read(&many(&"ä".repeat(900))).properties;
        let size: usize = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= LONGEST, "{size}");
    }

    #[test]
    fn what_nests_deeply_is_read() {
        let page = format!("{}<title>deep</title>", "<div>".repeat(200_000));
        assert_eq!(said(&page), pairs(&[("og:title", "deep")]));
    }
}
