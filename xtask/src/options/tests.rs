//! Does the command line mean what it says?

use super::*;

fn parse(line: &str) -> Result<Options, String> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Options::parse(&arguments)
}

#[test]
fn a_bare_build_is_the_release_worker_in_build() {
    let options = parse("build").unwrap();
    assert_eq!(options.profile, "release");
    assert_eq!(options.package, "tombolo");
    assert_eq!(options.out, PathBuf::from("build"));
    assert_eq!(options.objects, None);
}

#[test]
fn another_crate_names_its_objects_and_its_folder() {
    let options = parse("build --package contract --out build/contract --objects One,Two").unwrap();
    assert_eq!(options.package, "contract");
    assert_eq!(options.out, PathBuf::from("build/contract"));
    assert_eq!(options.objects, Some(vec!["One".to_owned(), "Two".to_owned()]));
}

#[test]
fn an_empty_list_means_no_object() {
    assert_eq!(parse("build --objects ,").unwrap().objects, Some(Vec::new()));
}

#[test]
fn what_is_not_understood_is_named() {
    assert_eq!(parse("").unwrap_err(), "no command");
    assert_eq!(parse("bake").unwrap_err(), "unknown command bake");
    assert_eq!(parse("build --fast yes").unwrap_err(), "unknown option --fast");
    assert_eq!(parse("build --out").unwrap_err(), "--out needs a value");
}
