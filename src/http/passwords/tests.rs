//! Which passwords match a stored hash, and what if the hash is damaged?

use super::{Effort, hash, verify};

#[test]
fn a_password_is_known_again_and_no_other() {
    let held = hash("päßwörd ☃", &[7; 32], Effort::Cheap).unwrap();
    assert!(held.starts_with("$argon2id$"));
    assert!(verify("päßwörd ☃", Some(&held), Effort::Cheap).unwrap());
    assert!(!verify("päßwörd", Some(&held), Effort::Cheap).unwrap());
}

#[test]
fn a_hash_carries_its_own_cost() {
    let held = hash("secret", &[7; 32], Effort::Cheap).unwrap();
    assert!(verify("secret", Some(&held), Effort::Standard).unwrap());
}

#[test]
fn the_standard_cost_is_what_owasp_asks_for() {
    assert!(hash("secret", &[7; 32], Effort::Standard).unwrap().contains("m=9216,t=4,p=1"));
}

#[test]
fn no_account_means_no_password() {
    assert!(!verify("secret", None, Effort::Cheap).unwrap());
}

#[test]
fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
    assert!(verify("secret", Some("nonsense"), Effort::Cheap).is_err());
}
