//! How is a server that runs stopped, paused or killed? By signals to its process, or to its whole group.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{process::Child, sync::watch, time::timeout};

/// A server's process, and the group that it leads.
#[derive(Clone)]
pub struct Process {
    leader: Pid,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Watches over a child that leads its group.
    pub fn watch(mut child: Child) -> Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(Pid::from_raw).context("the server has ended already")?;
        let (end, ended) = watch::channel(false);
        tokio::spawn(async move {
            child.wait().await.ok();
            // Whoever it left behind would keep its ports.
            kill_process_group(leader, Signal::KILL).ok();
            end.send_replace(true);
        });
        Ok(Self { leader, ended })
    }

    /// Its number, which is also its group's.
    pub fn id(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// Whether it still runs; a paused one does.
    pub fn runs(&self) -> bool {
        !*self.ended.borrow()
    }

    /// Asks it to end, and kills it when it has not after so long.
    pub async fn stop(&mut self, patience: Duration) {
        if self.runs() {
            // The launcher ends workerd itself, so that nothing is cut off.
            kill_process(self.leader, Signal::TERM).ok();
            // Who is paused hears nothing.
            self.signal(Signal::CONT);
        }
        if timeout(patience, self.ended.wait_for(|ended| *ended)).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills the group, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended.wait_for(|ended| *ended).await.ok();
    }

    /// Sends a signal to the group. One that has just ended misses nothing.
    pub fn signal(&self, signal: Signal) {
        if self.runs() {
            kill_process_group(self.leader, signal).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::process::Command;

    use super::*;

    fn start(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).kill_on_drop(true);
        Process::watch(command.spawn().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn one_that_ends_when_asked_is_not_waited_for() {
        let mut process = start("sleep 60");
        assert!(process.runs());
        timeout(Duration::from_secs(20), process.stop(Duration::from_secs(60))).await.unwrap();
        assert!(!process.runs());
    }

    #[tokio::test]
    async fn one_that_does_not_is_killed() {
        let mut process = start("trap '' TERM; while true; do sleep 0.1; done");
        tokio::time::sleep(Duration::from_millis(200)).await;
        process.stop(Duration::from_millis(200)).await;
        assert!(!process.runs());
    }

    #[tokio::test]
    async fn a_paused_one_runs_and_can_be_stopped() {
        let mut process = start("sleep 60");
        process.signal(Signal::STOP);
        assert!(process.runs());
        timeout(Duration::from_secs(20), process.stop(Duration::from_secs(60))).await.unwrap();
        assert!(!process.runs());
    }
}
