//! Do children stand in the order of the specification's example, and what names no child?

use serde_json::{Value, json, value::to_raw_value};

use super::Link;

fn link(room: &str, content: &Value, at: i64) -> Option<Link> {
    Link::of(room, &to_raw_value(content).unwrap(), at)
}

#[test]
fn children_stand_in_the_order_of_the_example() {
    let via = json!(["example.org"]);
    let mut links: Vec<Link> = [
        ("!a:example.org", json!({ "via": via, "order": "aaaa" }), 1_640_341_000_000),
        ("!b:example.org", json!({ "via": via, "order": " " }), 1_640_341_000_000),
        ("!c:example.org", json!({ "via": via, "order": "first" }), 1_640_841_000_000),
        ("!e:example.org", json!({ "via": via }), 1_640_641_000_000),
        ("!d:example.org", json!({ "via": via }), 1_640_741_000_000),
    ]
    .into_iter()
    .filter_map(|(room, content, at)| link(room, &content, at))
    .collect();
    links.sort();
    let order: Vec<&str> = links.iter().map(|link| &link.room_id.as_str()[1..2]).collect();
    assert_eq!(order, ["b", "a", "c", "e", "d"]);
}

#[test]
fn an_order_of_another_form_is_none_and_equal_ones_go_by_time_then_by_room() {
    let with = |room: &str, order: Value, at| {
        link(room, &json!({ "via": ["a.test"], "order": order }), at).unwrap()
    };
    let mut links = [
        with("!4:a.test", json!("é"), 3),
        with("!3:a.test", json!("x".repeat(51)), 2),
        with("!2:a.test", json!(7), 1),
        with("!1:a.test", json!(null), 1),
        with("!9:a.test", json!("~"), 9),
    ];
    links.sort();
    let order: Vec<&str> = links.iter().map(|link| &link.room_id.as_str()[1..2]).collect();
    assert_eq!(order, ["9", "1", "2", "3", "4"]);
}

#[test]
fn what_says_no_servers_or_no_room_names_no_child() {
    for content in [json!({}), json!({ "via": [] }), json!({ "via": "a" }), json!({ "via": [1] })] {
        assert_eq!(link("!a:b.test", &content, 1), None, "{content}");
    }
    assert_eq!(link("a:b.test", &json!({ "via": ["b.test"] }), 1), None);
    let odd = link("!a:b.test", &json!({ "via": ["b.test", "no name/"] }), 1).unwrap();
    assert_eq!(odd.via, ["b.test"]);
}
