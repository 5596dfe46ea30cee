//! Which bodies are read, and which are refused?

use std::thread;

use serde_json::json;

use super::{
    JsonFault, MAX_BODY_DEPTH, MAX_DEPTH, MAX_DEPTH_PASSED, MAX_SIGNED_DEPTH, MAX_SIGNED_VALUES,
    canonical_object, parse_object, parse_value, plain_object, scan, signed_text,
};
use crate::canonical_json::{loose_to_string, to_string};

#[track_caller]
fn is_bad(text: &str) {
    assert!(matches!(parse_object(text.as_bytes()), Err(JsonFault::BadJson(_))), "{text}");
}

#[track_caller]
fn is_not_json(text: &str) {
    assert!(matches!(parse_object(text.as_bytes()), Err(JsonFault::NotJson(_))), "{text}");
}

#[track_caller]
fn reads_as(text: &str, canonical: &str) {
    assert_eq!(to_string(&parse_object(text.as_bytes()).unwrap()), canonical);
}

#[test]
fn numbers_that_canonical_json_lacks_are_bad() {
    for number in [
        "1.5",
        "1.0",
        "1e2",
        "1E2",
        "-0",
        "-0.0",
        "0.0",
        "9007199254740992",
        "-9007199254740992",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
    ] {
        is_bad(&format!("{{\"a\":{number}}}"));
        is_bad(&format!("{{\"a\":[{{\"b\":{number}}}]}}"));
    }
    is_bad(&format!("{{\"a\":1{}}}", "0".repeat(400)));
}

#[test]
fn numbers_that_are_no_json_are_refused() {
    for number in ["NaN", "Infinity", "-Infinity", "01", "-", "+1", "00", "-01", "1-", "1+1", "0x1"]
    {
        let text = format!("{{\"a\":{number}}}");
        assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        assert!(parse_value(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn integers_within_the_range_are_kept() {
    let text = r#"{"a":0,"b":-1,"c":9007199254740991,"d":-9007199254740991}"#;
    reads_as(text, text);
}

#[test]
fn lone_surrogates_are_bad() {
    for escape in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\ud800x", r"\udc00\ud800"] {
        let text = format!("{{\"a\":\"{escape}\"}}");
        is_bad(&text);
        assert!(scan(text.as_bytes()).is_err());
        assert!(scan(format!("{{\"{escape}\":1}}").as_bytes()).is_err());
    }
}

#[test]
fn escapes_are_resolved() {
    reads_as(
        r#"{"a":"\ud83d\ude00\u00e9\/\"\\\b\f\n\r\t\u0001"}"#,
        "{\"a\":\"😀é/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"}",
    );
    reads_as(r#"{"\u0061":1}"#, r#"{"a":1}"#);
}

#[test]
fn the_last_of_duplicate_keys_wins() {
    reads_as(r#"{"a":1,"b":{"c":1,"c":2},"a":3}"#, r#"{"a":3,"b":{"c":2}}"#);
    assert_eq!(parse_value(br#"{"a":1,"a":3}"#).unwrap(), json!({ "a": 3 }));
}

#[test]
fn what_is_no_object_is_bad() {
    for text in ["[]", "null", "5", "\"a\"", "true"] {
        is_bad(text);
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[}",
        "{}x",
        "{}{}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{'a':1}",
        "\u{feff}{}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u+123\"}",
        "{\"a\":tru}",
        "{\"a\":\"",
        "{\"a\":\"\\",
    ] {
        is_not_json(text);
    }
    assert!(matches!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonFault::NotJson(_))));
}

#[test]
fn space_between_tokens_does_not_matter() {
    reads_as(
        " \t\r\n{ \"b\" : [ 1 , { } , [ ] ] ,\n\"a\" : null } ",
        r#"{"a":null,"b":[1,{},[]]}"#,
    );
}

#[test]
fn nesting_beyond_the_bound_is_bad_however_deep() {
    for depth in [MAX_BODY_DEPTH + 1, 10_000, 100_000, 1_000_000] {
        let lists = format!("{{\"a\":{}", "[".repeat(depth));
        is_bad(&lists);
        let objects = "{\"a\":".repeat(depth);
        is_bad(&objects);
        assert!(matches!(scan(lists.as_bytes()), Err(JsonFault::BadJson(_))));
        assert!(matches!(parse_value(objects.as_bytes()), Err(JsonFault::BadJson(_))));
    }
    is_bad(&"{\"a\":".repeat(MAX_DEPTH + 1));
}

#[test]
fn a_value_at_the_bound_is_parsed_written_compared_and_dropped_on_one_megabyte() {
    let work = || {
        let text = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        let object = parse_object(text.as_bytes()).unwrap();
        assert_eq!(to_string(&object), text);
        assert!(object.clone() == object);
        drop(object);
    };
    thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_loose_value_at_the_bound_is_parsed_and_dropped_in_a_test_thread() {
    let work = || {
        let text = format!("{}1.5{}", "[".repeat(MAX_BODY_DEPTH), "]".repeat(MAX_BODY_DEPTH));
        let value = parse_value(text.as_bytes()).unwrap();
        assert_eq!(loose_to_string(&value), text);
        let text = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        let value = parse_value(text.as_bytes()).unwrap();
        assert_eq!(to_string(&canonical_object(value).unwrap()), text);
    };
    thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn the_bound_is_the_same_inside_a_body() {
    let nested =
        |depth| format!("{{\"pdus\":[{}1{}]}}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let event = |depth| {
        let mut body = parse_value(nested(depth).as_bytes()).unwrap();
        canonical_object(body["pdus"][0].take())
    };
    assert!(event(MAX_DEPTH).is_ok());
    assert!(matches!(event(MAX_DEPTH + 1), Err(JsonFault::BadJson(_))));
}

#[test]
fn one_bad_event_in_a_loose_body_is_told_apart() {
    let body = parse_value(br#"{"pdus":[{"a":1},{"a":1.0},{"a":-0},3]}"#).unwrap();
    let verdicts: Vec<bool> = body["pdus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pdu| canonical_object(pdu.clone()).is_ok())
        .collect();
    assert_eq!(verdicts, [true, false, false, false]);
}

#[test]
fn both_parsers_agree_on_canonical_texts() {
    for text in [
        r#"{"a":[1,2,{"b":"c"}],"d":null,"e":true,"f":false}"#,
        "{\"\u{e000}\":1,\"\u{10000}\":2}",
        r#"{"":""}"#,
    ] {
        let strict = parse_object(text.as_bytes()).unwrap();
        assert_eq!(strict, canonical_object(parse_value(text.as_bytes()).unwrap()).unwrap());
        reads_as(text, text);
    }
}

#[test]
fn what_was_signed_is_written_alike_from_a_value_and_from_its_text() {
    for text in [
        "{}",
        " [ ] ",
        "null",
        "true",
        "-0",
        "1e2",
        "\"x\"",
        "[1,-2,3.5,1.0,1E2,-0,0,18446744073709551615,-9223372036854775808,1e-7]",
        r#"{"b":[1,{"d":[],"c":{}}],"a":{"z":false,"y":[[],[[]],{}]},"":null}"#,
        r#"{"a":1,"b":{"c":1,"c":2},"a":{"x":[1,2]},"aa":5,"a":3}"#,
        r#"{"\u0061":1,"a\"":2,"a\\":3,"\ud83d\ude00\u00e9\/\n\u0001":"\u0041\t\u001f\u007f"}"#,
        "{\"\u{10000}\":2,\"\u{e000}\":1,\"a!\":1,\"a\":2,\"a\\\"\":3}",
        " \t\r\n{ \"b\" : [ 1 , { } , [ ] ] ,\n\"a\" : null } ",
    ] {
        let value = parse_value(text.as_bytes()).unwrap();
        assert_eq!(signed_text(text.as_bytes()).unwrap(), loose_to_string(&value), "{text}");
    }
}

#[track_caller]
fn was_not_signed(text: &str) {
    assert!(signed_text(text.as_bytes()).is_err(), "{text}");
    assert!(parse_value(text.as_bytes()).is_err(), "{text}");
}

#[test]
fn what_is_no_json_was_not_signed() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,}",
        "[}",
        "{]",
        "[{]}",
        "{[}",
        "[{]",
        "{[]}",
        "{[\"a\":1}",
        "[{1]",
        "{{}",
        "[[]",
        "{}x",
        "[][]",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "[1 2]",
        "\u{feff}{}",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "[tru]",
        "\"",
    ] {
        was_not_signed(text);
    }
    assert!(signed_text(b"\"\xff\"").is_err());
}

#[test]
fn a_number_that_is_no_json_was_not_signed() {
    for text in
        ["NaN", "[Infinity]", "01", "-", "+1", "00", "-01", "1-", "1+1", "1.", "1e", ".5", "1e400"]
    {
        was_not_signed(text);
    }
    was_not_signed(&format!("1{}", "0".repeat(400)));
}

#[test]
fn what_is_signed_may_hold_a_million_values_and_no_more() {
    let list = |values: usize| format!("[{}1]", "1,".repeat(values - 1));
    for values in [1_000_000, MAX_SIGNED_VALUES - 1] {
        let text = list(values);
        assert_eq!(signed_text(text.as_bytes()).as_ref(), Ok(&text));
    }
    let lists = |lists: usize| format!("[{}[]]", "[],".repeat(lists - 1));
    let members = |members: usize| format!("{{{}\"b\":1}}", "\"a\":1,".repeat(members - 1));
    for text in [
        list(MAX_SIGNED_VALUES),
        list(5_000_000),
        lists(MAX_SIGNED_VALUES),
        members(MAX_SIGNED_VALUES / 2),
    ] {
        assert!(matches!(signed_text(text.as_bytes()), Err(JsonFault::BadJson(_))));
    }
}

#[test]
fn what_is_signed_may_be_deep_and_is_read_on_a_small_stack() {
    let work = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"b\":1,\"a\":", "}")] {
            let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let deepest = signed_text(nested(MAX_SIGNED_DEPTH).as_bytes()).unwrap();
            assert_eq!(deepest.len(), nested(MAX_SIGNED_DEPTH).len());
            for depth in [MAX_SIGNED_DEPTH + 1, 1_000_000] {
                let fault = signed_text(nested(depth).as_bytes());
                assert!(matches!(fault, Err(JsonFault::BadJson(_))), "{depth}");
            }
        }
    };
    thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn an_object_is_passed_on_that_every_reader_takes() {
    let nested =
        |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{}", "}".repeat(depth - 1));
    for plain in ["{}", r#" {"a": 1.5, "b": [true, null]}"#, &nested(MAX_DEPTH_PASSED)] {
        assert!(plain_object(plain).is_some(), "{plain}");
    }
    let too_deep = nested(MAX_DEPTH_PASSED + 1);
    for other in ["[]", "", "{", r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#, &too_deep, &nested(400)] {
        assert!(plain_object(other).is_none(), "{other}");
    }
}
