//! What is taken of a page, and how long that takes?

use std::time::{Duration, Instant};

use super::*;

fn read(page: &str) -> Metadata {
    super::read(&Text { text: page.to_owned(), is_guess: false })
}

/// What a page says of itself, and its best image.
fn said(page: &str) -> Vec<(String, String)> {
    let Metadata { properties, images, .. } = read(page);
    let image = images.into_iter().next().map(|image| ("image".to_owned(), image));
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
    let Metadata { properties, .. } = read(&page);
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
fn no_text_has_what_is_no_character_to_read() {
    let titled = |html: &str| read(html).properties.remove(TITLE).unwrap_or_default();
    assert_eq!(titled("<title>a\0b\u{8}c\u{85}d</title>"), "a b c d");
    assert_eq!(titled("<title>&#xD800;a&#0;&#x110000;</title>"), "\u{fffd}a\u{fffd}\u{fffd}");
    assert_eq!(titled("<title>Why isn&#039;t &amp;#039; it</title>"), "Why isn't &#039; it");
}

#[test]
fn what_nests_deeply_is_read() {
    let page = format!("{}<title>deep</title>", "<div>".repeat(200_000));
    assert_eq!(said(&page), pairs(&[("og:title", "deep")]));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes")]
fn a_hostile_page_is_read_in_its_own_length() {
    let names = |count: usize| "og:title description twitter:title ".repeat(count);
    let references = "&amp;&#x41;&nosuch;".repeat(6000);
    // As many as are read of one value.
    let long = |part: &str| part.repeat((8 << 10) / part.len());
    let filled = |part: &str| {
        let value = long(part);
        format!("<meta property='{value}' name='{value}' content='{value}'>").repeat(40)
    };
    let pages = [
        filled("&a"),
        filled("&yuml"),
        filled("&zzzzzzzz;"),
        "<meta name='&a&a&a&a' content='&a&a&a&a'>".repeat(5_000),
        format!("<meta property='{}' content='{references}'>", names(3000)),
        format!("<meta content='{references}' {}>", "name=og:a property=og:b ".repeat(4000)),
        format!("<meta property='{}' content='{}'>", names(200), "&amp; ".repeat(300)).repeat(27),
        "<meta property='og:a og:b og:c og:d' content='&lt;&gt;'>".repeat(4300),
        "<meta>".repeat(40_000),
        "<link rel=image_src href='&amp;'><img src=' '>".repeat(5000),
        format!("<title>{references}{references}</title>"),
        "<svg><title/>".repeat(18_000),
        "<template><meta property=og:a content=b>".repeat(6000),
    ];
    for page in pages {
        let began = Instant::now();
        let Metadata { properties, .. } = read(&page);
        let size: usize = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= LONGEST);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} for {:?}", page.get(..80));
    }
}

#[test]
fn few_names_of_a_tag_are_read() {
    let names: String = (0..20).map(|place| format!("og:x{place} ")).collect();
    let page = format!("<meta property='{names}' name='og:y' content=a>");
    assert_eq!(read(&page).properties.len(), MOST_NAMES);
}

#[test]
fn a_drawing_and_a_template_say_nothing_of_the_page() {
    let page = "<template><title>t</title><meta property=og:type content=t><base href=/t/><img src=t></template>
        <svg><title>s</title><title/></svg><title>page</title><img src=i>";
    let read = read(page);
    assert_eq!(read.properties, [("og:title".to_owned(), "page".to_owned())].into());
    assert_eq!((read.images, read.base), (vec!["i".to_owned()], None));
}

#[test]
fn what_has_no_meaning_in_a_guessed_encoding_is_left_out() {
    let text = "<title>\u{fffd}\u{fffd}</title><meta name=description content='ascii'><meta property=og:type content='\u{fffd}'>";
    let guess = |is_guess| super::read(&Text { text: text.to_owned(), is_guess }).properties.len();
    assert_eq!((guess(true), guess(false)), (1, 3));
}

#[test]
fn images_are_tried_from_the_best_on() {
    let page =
        "<img src=first><meta name=twitter:image content=card><link rel=image_src href=meant>
        <meta property=og:image content=a><meta property=og:image:secure_url content=b>";
    assert_eq!(read(page).images, ["a", "b", "card", "meant", "first"]);
    let many = "<meta property=og:image content=a>".repeat(100);
    assert_eq!(read(&many).images.len(), MOST_IMAGES);
}

#[test]
fn links_lead_to_the_web_or_nowhere() {
    let page = Url::parse("https://site.org/a/b").unwrap();
    let linked = |html: &str| {
        let (properties, images) = read(html).linked(&page);
        (properties, images.into_iter().map(String::from).collect::<Vec<_>>())
    };
    let (properties, _) = linked(
        "<meta property=og:url content='javascript:alert(1)'><meta property=og:video content='data:text/html,a'>
         <meta property=og:audio:secure_url content='java&#10;script:alert(1)'><meta property=og:video:url content=' &#1;javascript:a'>
         <meta property=og:video:type content='video/mp4'><meta property=og:audio content='https://a:b@c.org/'>
         <meta property=og:videos content='file:///etc/passwd'><meta property=og:see_also content='vbscript:a'>",
    );
    let expected = pairs(&[
        // A space is part of no scheme: this is a path.
        ("og:audio:secure_url", "https://site.org/a/java%20script:alert(1)"),
        ("og:video:type", "video/mp4"),
    ]);
    assert_eq!(properties.into_iter().collect::<Vec<_>>(), expected);
    let (properties, images) = linked(
        "<base href='https://cdn.org/x/'><base href='https://evil.org/'><meta property=og:url content='https://site.org/#a'>
         <meta property=og:video content='v.mp4'><meta property=og:image content='data:a'><img src=i.png>
         <meta property=og:image content=/i><meta property=og:image:url content=//cdn.org/i>",
    );
    assert_eq!(properties["og:url"], "https://site.org/#a");
    assert_eq!(properties["og:video"], "https://cdn.org/x/v.mp4");
    assert_eq!(images, ["https://cdn.org/i", "https://cdn.org/x/i.png"]);
    let (_, images) = linked("<base href='javascript:a'><img src=i>");
    assert_eq!(images, ["https://site.org/a/i"]);
}

#[test]
fn links_grow_to_a_bounded_size() {
    let base = format!("https://site.org/{}/", "a".repeat(3000));
    let video = |place| format!("<meta property=og:video:{place} content=v>");
    let page = format!("<base href={base}>{}", (0..40).map(video).collect::<String>());
    let (properties, _) = read(&page).linked(&Url::parse("https://site.org").unwrap());
    let size: usize = properties.values().map(String::len).sum();
    assert!((1..=LONGEST).contains(&size), "{size}");
}
