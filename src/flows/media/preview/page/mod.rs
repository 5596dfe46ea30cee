//! What does a page say of itself? ([OpenGraph](https://ogp.me/), [Twitter cards](https://developer.x.com/en/docs/x-for-websites/cards/overview/markup))
//!
//! What it says to others who show it comes first, then what it says to those who read it. All of it is text of strangers:
//! it is cut to a bounded size, and of names only those of OpenGraph are passed on.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use url::Url;

use super::{
    charset::Text,
    entities,
    markup::{Context, Markup, Tag, Token},
};
use crate::remote::pages;

/// How many properties a page may have, and how long name and value of each may be (characters).
const MOST: usize = 50;
const LONGEST_NAME: usize = 50;
const LONGEST_VALUE: usize = 1000;
/// How long all of it may be together (bytes).
const LONGEST: usize = 16 << 10;
/// How many names one tag may give its content.
const MOST_NAMES: usize = 8;
/// How many links of OpenGraph to images are looked at.
const MOST_IMAGES: usize = 4;
/// An image that is not larger to any side is no picture of the page (pixels).
const TINY: u32 = 10;

const TITLE: &str = "og:title";
const DESCRIPTION: &str = "og:description";
const SITE_NAME: &str = "og:site_name";
/// What the image shows, for who cannot see it.
pub const IMAGE_ALT: &str = "og:image:alt";
/// What of a video or a sound is no link.
const NO_LINKS: [&str; 4] = [":type", ":width", ":height", ":alt"];

/// What a page says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// By the names of OpenGraph, all of which begin with `og:`; nothing of the image but what it is described as.
    pub properties: BTreeMap<String, String>,
    /// Links to images, the best first.
    pub images: Vec<String>,
    /// What its links are relative to, if not to itself.
    pub base: Option<String>,
}

impl Metadata {
    /// Has all links be such as lead to the web from a page at this URL: a client would follow any. The others are left
    /// out.
    pub fn linked(mut self, page: &Url) -> (BTreeMap<String, String>, Vec<Url>) {
        let base = self.base.and_then(|base| pages::linked(page, &base));
        let base = base.as_ref().unwrap_or(page);
        let mut longer = 0_usize;
        self.properties.retain(|name, value| {
            if !is_link(name) {
                return true;
            }
            let Some(link) = pages::linked(base, value) else { return false };
            if Url::parse(value).is_err() {
                longer = longer.saturating_add(link.as_str().len());
                *value = link.into();
            }
            longer <= LONGEST
        });
        let mut images: Vec<Url> = Vec::new();
        for link in self.images.iter().filter_map(|link| pages::linked(base, link)) {
            if !images.contains(&link) {
                images.push(link);
            }
        }
        (self.properties, images)
    }
}

/// Reads a page.
pub fn read(page: &Text) -> Metadata {
    let mut read = Page { is_guess: page.is_guess, ..Page::default() };
    let mut is_title = false;
    for token in Markup::of(&page.text) {
        match token {
            Token::Start(tag) if tag.context() == Context::Template => is_title = false,
            Token::Start(tag) if tag.is("body") && read.is_complete() => break,
            Token::Start(tag) => {
                is_title = tag.is("title") && tag.context() == Context::Page;
                read.tag(&tag);
            }
            Token::Text(text) if is_title && read.title.is_none() => {
                read.title = read.shown(&entities::decoded(text));
            }
            Token::Text(_) | Token::End(_) => {}
        }
    }
    read.metadata()
}

#[derive(Default)]
struct Page {
    /// Whether its encoding was guessed: what has no meaning in it is then nobody's text.
    is_guess: bool,
    properties: BTreeMap<String, String>,
    /// How many bytes these have.
    size: usize,
    images: Vec<String>,
    /// What Twitter cards say, by the names of OpenGraph.
    card: BTreeMap<&'static str, String>,
    card_image: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// An image that is meant for the page, else the first in it.
    meant: Option<String>,
    first: Option<String>,
    base: Option<String>,
}

/// The content of a tag, decoded once for all the names that it has.
struct Content<'a> {
    /// As it is: a link.
    link: &'a str,
    /// On one line, cut to its longest; none where nothing is left.
    text: Option<String>,
    is_cut: bool,
}

impl Page {
    /// Whether nothing in its body could add to what is shown.
    fn is_complete(&self) -> bool {
        [TITLE, DESCRIPTION].iter().all(|name| self.properties.contains_key(*name))
            && !self.images.is_empty()
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        if tag.is("meta") {
            self.meta(tag);
        } else if tag.is("base") && self.base.is_none() {
            self.base = tag.attribute("href");
        } else if tag.is("link") && self.meant.is_none() {
            let is_image =
                tag.attribute("rel").is_some_and(|rel| rel.eq_ignore_ascii_case("image_src"));
            let link = is_image.then(|| tag.attribute("href")).flatten();
            self.meant = link.filter(|link| !link.trim().is_empty());
        } else if tag.is("img") && self.first.is_none() && !is_tiny(tag) {
            // What the page brings along is no link.
            let source =
                tag.attribute("src").filter(|link| !link.trim_start().starts_with("data:"));
            self.first = source.filter(|link| !link.trim().is_empty());
        }
    }

    fn meta(&mut self, tag: &Tag<'_>) {
        let Some(link) = tag.attribute("content").filter(|content| !content.trim().is_empty())
        else {
            return;
        };
        let text = self.shown(&link);
        let is_cut = link.chars().nth(LONGEST_VALUE).is_some();
        let content = Content { link: &link, text, is_cut };
        let names = ["property", "name"].map(|key| tag.attribute(key).unwrap_or_default());
        let names = names.iter().flat_map(|names| names.split_ascii_whitespace());
        for name in names.take(MOST_NAMES).filter(|name| name.len() <= LONGEST_NAME) {
            self.named(&name.to_ascii_lowercase(), &content);
        }
        let is_image = tag.attribute("itemprop").is_some_and(|of| of.eq_ignore_ascii_case("image"));
        if is_image && self.meant.is_none() {
            self.meant = Some(link);
        }
    }

    /// Takes what is said under a name. What is said first counts.
    fn named(&mut self, name: &str, content: &Content<'_>) {
        let of_card = match name {
            "og:image" | "og:image:url" | "og:image:secure_url" => {
                if self.images.len() < MOST_IMAGES {
                    self.images.push(content.link.to_owned());
                }
                return;
            }
            "twitter:image" | "twitter:image:src" => {
                self.card_image.get_or_insert_with(|| content.link.to_owned());
                return;
            }
            "description" => {
                self.description = self.description.take().or_else(|| content.text.clone());
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
        if let Some(text) = &content.text {
            self.card.entry(of_card).or_insert_with(|| text.clone());
        }
    }

    fn property(&mut self, name: &str, content: &Content<'_>) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte);
        let fits = name.strip_prefix("og:").is_some_and(|rest| !rest.is_empty())
            && name.bytes().all(is_plain);
        // The size and type are those of the image that is kept.
        let is_images = name.starts_with("og:image:") && name != IMAGE_ALT;
        if !fits || is_images || self.properties.contains_key(name) {
            return;
        }
        // A text says something also where its end is missing; nothing else does.
        let is_text = [TITLE, DESCRIPTION, SITE_NAME].contains(&name);
        let Some(text) = content.text.as_ref().filter(|_| is_text || !content.is_cut) else {
            return;
        };
        let size = self.size.saturating_add(name.len()).saturating_add(text.len());
        if self.properties.len() < MOST && size <= LONGEST {
            self.size = size;
            self.properties.insert(name.to_owned(), text.clone());
        }
    }

    /// A text as it is shown; none where nothing is left of it.
    fn shown(&self, text: &str) -> Option<String> {
        on_one_line(text)
            .filter(|text| !(self.is_guess && text.contains(char::REPLACEMENT_CHARACTER)))
    }

    fn metadata(self) -> Metadata {
        let Self { mut properties, card, title, description, base, .. } = self;
        for (name, value) in card {
            properties.entry(name.to_owned()).or_insert(value);
        }
        for (name, value) in [(TITLE, title), (DESCRIPTION, description)] {
            if let Some(value) = value {
                properties.entry(name.to_owned()).or_insert(value);
            }
        }
        let others = [self.card_image, self.meant, self.first];
        let images = self.images.into_iter().chain(others.into_iter().flatten()).collect();
        Metadata { properties, images, base }
    }
}

/// Whether what a property says is a link.
fn is_link(name: &str) -> bool {
    let of_media = ["og:video", "og:audio"].iter().find_map(|kind| name.strip_prefix(kind));
    ["og:url", "og:see_also"].contains(&name)
        || of_media.is_some_and(|part| !NO_LINKS.contains(&part))
}

/// Whether an image says that it is too small to be a picture.
fn is_tiny(tag: &Tag<'_>) -> bool {
    let side = |name| tag.attribute(name).and_then(|side| side.trim().parse::<u32>().ok());
    ["width", "height"].into_iter().filter_map(side).any(|side| side <= TINY)
}

/// A text on one line, cut to its longest; none where nothing is left.
fn on_one_line(text: &str) -> Option<String> {
    let mut line = String::new();
    let words = text.split(|each: char| each.is_whitespace() || each.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // A character has four bytes at most.
        if line.len() > 4 * LONGEST_VALUE {
            break;
        }
    }
    if line.chars().nth(LONGEST_VALUE).is_some() {
        line = line.chars().take(LONGEST_VALUE - 1).chain(['…']).collect();
    }
    Some(line).filter(|line| !line.is_empty())
}
