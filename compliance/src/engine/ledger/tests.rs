//! Are containers found as they are asked for, and do networks know who is in them?

use super::*;

struct Desk {
    ledger: Ledger,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { ledger: Ledger::new(folder.path().to_owned()), folder }
    }

    fn network(&mut self, name: &str) -> String {
        let id = self.ledger.fresh_id();
        let network = Network { name: name.to_owned(), labels: Labels::new() };
        self.ledger.networks.insert(id.clone(), network);
        id
    }

    async fn container(&mut self, name: &str, image: &str, network: &str) -> Arc<Container> {
        let new = NewContainer {
            name: name.to_owned(),
            image: image.to_owned(),
            labels: [("own".to_owned(), name.to_owned())].into(),
            env: vec![format!("SERVER_NAME={name}")],
            networks: [(network.to_owned(), vec![name.to_owned()])].into(),
        };
        self.ledger.create(new).await.unwrap()
    }

    fn hosts(&self, container: &Container) -> String {
        fs::read_to_string(self.ledger.hosts(container).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_container_is_found_by_id_by_prefix_and_by_name() {
    let mut desk = Desk::new();
    desk.network("net");
    let made = desk.container("hs1", "base", "net").await;
    for wanted in ["hs1", made.plan.id.as_str(), &made.plan.id[..12]] {
        let found = desk.ledger.container(wanted).unwrap();
        assert_eq!(found.plan.id, made.plan.id);
    }
    assert!(desk.ledger.container("hs2").is_none());
    desk.ledger.forget(&made.plan.id).unwrap();
    assert!(desk.ledger.container("hs1").is_none());
}

#[tokio::test]
async fn a_network_knows_its_servers_and_no_others() {
    let mut desk = Desk::new();
    desk.network("one");
    desk.network("two");
    let first = desk.container("hs1", "base", "one").await;
    let second = desk.container("hs2", "base", "one").await;
    let apart = desk.container("hs1", "base", "two").await;
    let line =
        |container: &Container| format!("{} {}\n", container.plan.address, container.plan.name);
    let hosts = desk.hosts(&first);
    assert!(hosts.contains(&line(&first)) && hosts.contains(&line(&second)), "{hosts}");
    assert!(!hosts.contains(&line(&apart)), "{hosts}");
    desk.ledger.forget(&second.plan.id).unwrap();
    assert!(!desk.hosts(&first).contains("hs2"));
}

#[tokio::test]
async fn a_network_in_use_is_kept() {
    let mut desk = Desk::new();
    let id = desk.network("net");
    let made = desk.container("hs1", "base", "net").await;
    desk.ledger.remove_network(&id);
    assert_eq!(desk.ledger.network("net"), Some(&id));
    desk.ledger.forget(&made.plan.id).unwrap();
    desk.ledger.remove_network(&id);
    assert_eq!(desk.ledger.network("net"), None);
}

#[tokio::test]
async fn a_committed_image_begins_others_with_its_data_and_labels() {
    let mut desk = Desk::new();
    desk.network("net");
    let made = desk.container("hs1", "base", "net").await;
    fs::create_dir(made.data().join("v3")).unwrap();
    fs::write(made.data().join("v3/file"), "kept").unwrap();
    let set: Labels = [("token".to_owned(), "x".to_owned())].into();
    let id = desk.ledger.commit(&made, "localhost/complement:a".to_owned(), set).await.unwrap();
    for image in [id.as_str(), &format!("sha256:{id}"), "localhost/complement:a"] {
        let copy = desk.container("hs1", image, "net").await;
        assert_eq!(fs::read_to_string(copy.data().join("v3/file")).unwrap(), "kept");
        assert_eq!(copy.plan.labels.get("token").map(String::as_str), Some("x"));
    }
    assert!(desk.folder.path().join("images").exists());
}

#[tokio::test]
async fn files_of_an_archive_lie_where_they_are_looked_for() {
    let mut desk = Desk::new();
    desk.network("net");
    let made = desk.container("hs1", "base", "net").await;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o777);
    // As Complement writes it: the crate would not write an absolute path itself.
    let name = b"/complement/ca/ca.crt";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    archive.append(&header, &b"CA"[..]).unwrap();
    made.unpack(&*archive.into_inner().unwrap()).unwrap();
    let file = made.plan.folder.join("complement/ca/ca.crt");
    assert_eq!(fs::read_to_string(file).unwrap(), "CA");
}
