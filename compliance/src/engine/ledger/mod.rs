//! Which containers, images and networks are there? What Complement made, and nothing else: any image name that it did
//! not make by a commit means this server with empty data.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{
    addresses::Addresses,
    container::{Attachment, Container, Plan},
    hosts,
    labels::Labels,
};

/// Everything that was made and not removed, by its ID.
pub struct Ledger {
    folder: PathBuf,
    containers: Vec<Arc<Container>>,
    pub images: BTreeMap<String, Image>,
    pub networks: BTreeMap<String, Network>,
    addresses: Addresses,
    made: u64,
}

/// A server's data at one moment, to begin others with.
pub struct Image {
    pub labels: Labels,
    pub tag: String,
    pub data: PathBuf,
}

/// Servers that know each other by name.
pub struct Network {
    pub name: String,
    pub labels: Labels,
}

/// A container that is asked for.
pub struct NewContainer {
    pub name: String,
    pub image: String,
    pub labels: Labels,
    pub env: Vec<String>,
    /// The aliases in each network, by the network's name or ID.
    pub networks: BTreeMap<String, Vec<String>>,
}

impl Ledger {
    /// A ledger of nothing, for things that will lie in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            containers: Vec::new(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            addresses: Addresses::of(std::process::id()),
            made: 0,
        }
    }

    /// An ID that nothing had before.
    pub fn fresh_id(&mut self) -> String {
        self.made += 1;
        let digest = Sha256::digest(format!("{}/{}", std::process::id(), self.made));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// All containers, the oldest first.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.containers.iter()
    }

    /// The container with this ID, this beginning of an ID or this name.
    pub fn container(&self, wanted: &str) -> Option<&Arc<Container>> {
        if wanted.is_empty() {
            return None;
        }
        let named = |container: &&Arc<Container>| container.plan.name == wanted;
        let begins = |container: &&Arc<Container>| container.plan.id.starts_with(wanted);
        self.containers().find(named).or_else(|| self.containers().find(begins))
    }

    /// The image with this ID or tag.
    pub fn image(&self, wanted: &str) -> Option<(&String, &Image)> {
        let wanted = wanted.trim_start_matches("sha256:");
        self.images.iter().find(|(id, image)| *id == wanted || image.tag == wanted)
    }

    /// The ID of the network with this ID or name.
    pub fn network(&self, wanted: &str) -> Option<&String> {
        let is = |(id, network): &(&String, &Network)| *id == wanted || network.name == wanted;
        self.networks.iter().find(is).map(|(id, _)| id)
    }

    /// Makes a container, with the data and labels of its image.
    pub async fn create(&mut self, new: NewContainer) -> Result<Arc<Container>> {
        let id = self.fresh_id();
        let folder = self.folder.join("containers").join(&id[..12]);
        let image = self.image(&new.image).map(|(_, image)| image);
        let mut labels = image.map(|image| image.labels.clone()).unwrap_or_default();
        labels.extend(new.labels);
        if let Some(image) = image {
            copy(image.data.clone(), folder.join("data")).await?;
        }
        let attach = |(name, aliases): (String, Vec<String>)| {
            let network = self.network(&name)?.clone();
            Some(Attachment { network, aliases })
        };
        let plan = Plan {
            id,
            name: new.name,
            labels,
            env: new.env,
            networks: new.networks.into_iter().filter_map(attach).collect(),
            address: self.addresses.allot()?,
            folder,
        };
        let container = Arc::new(Container::create(plan).await?);
        self.containers.push(container.clone());
        self.name_servers()?;
        Ok(container)
    }

    /// Forgets a container; its folder stays until it is removed.
    pub fn forget(&mut self, id: &str) -> Result<()> {
        self.containers.retain(|container| container.plan.id != id);
        self.name_servers()
    }

    /// Keeps what a container holds as an image.
    pub async fn commit(&mut self, of: &Container, tag: String, set: Labels) -> Result<String> {
        let id = self.fresh_id();
        let data = self.folder.join("images").join(&id[..12]);
        copy(of.data(), data.clone()).await?;
        let mut labels = of.plan.labels.clone();
        labels.extend(set);
        self.images.insert(id.clone(), Image { labels, tag, data });
        Ok(id)
    }

    /// Whether any container is in the network.
    pub fn is_used(&self, network: &str) -> bool {
        let within = |attachment: &Attachment| attachment.network == network;
        self.containers().any(|container| container.plan.networks.iter().any(within))
    }

    /// Removes a network that nobody is in.
    pub fn remove_network(&mut self, id: &str) {
        if !self.is_used(id) {
            self.networks.remove(id);
            fs::remove_file(self.hosts_of(id)).ok();
        }
    }

    /// The hosts file of the network that a container is in.
    pub fn hosts(&self, container: &Container) -> Result<PathBuf> {
        let attachment = container.plan.networks.first();
        Ok(self.hosts_of(&attachment.context("the container is in no network")?.network))
    }

    fn hosts_of(&self, network: &str) -> PathBuf {
        self.folder.join(format!("hosts-{}", &network[..12]))
    }

    /// Writes the hosts file of each network.
    fn name_servers(&self) -> Result<()> {
        for network in self.networks.keys() {
            hosts::write(&self.hosts_of(network), &hosts::file(&self.servers_in(network)))?;
        }
        Ok(())
    }

    fn servers_in(&self, network: &str) -> Vec<(String, Ipv4Addr)> {
        let mut servers = Vec::new();
        for Plan { networks, address, .. } in self.containers().map(|container| &container.plan) {
            let attached = networks.iter().filter(|attachment| attachment.network == network);
            let aliases = attached.flat_map(|attachment| &attachment.aliases);
            servers.extend(aliases.map(|alias| (alias.clone(), *address)));
        }
        servers
    }
}

/// Copies a folder, off the thread that passes everybody's bytes on.
async fn copy(from: PathBuf, to: PathBuf) -> Result<()> {
    tokio::task::spawn_blocking(move || copy_folder(&from, &to)).await?.context("no copy of data")
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
