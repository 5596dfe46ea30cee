//! Which transaction is sent, and when?

use tombolo_platform::values;

use super::{
    Appservice, Backlog, BacklogReply, Built, Failed, Next, NextTransaction, Parts, Purge, Result,
    Retry, Sent, Transaction,
};
use crate::shell::Stop;

/// The first pause after a failure (ms); twice as long each time,
const FIRST_PAUSE: u64 = 1_000;
/// but doubled so often at most: 512 s.
const MOST_DOUBLED: u32 = 9;
/// How much of the reason of a failure is kept (characters).
const LONGEST_REASON: usize = 500;

/// How it goes with a service.
#[derive(Default)]
struct Health {
    /// The ID of the newest transaction that ever was.
    last: u64,
    attempts: u32,
    /// When it is tried again (ms); 0 while it is not failing.
    retry_at: u64,
    error: Option<String>,
}

/// The transaction that is on its way; if there is none, what the next one is made of.
pub fn next(service: &mut Appservice<'_>, message: NextTransaction) -> Result<Next> {
    if !service.exists()? {
        return Ok(Next::default());
    }
    let (health, now) = (service.health()?, service.moment.now);
    if health.retry_at > now {
        return Ok(Next { next: Some(health.retry_at), ..Next::default() });
    }
    if let Some((id, _)) = service.in_flight()? {
        let query = "SELECT body FROM txn WHERE id = ?";
        let body = service.sql.row(query, values![id], |row| row.text(0))?;
        let body = body.ok_or_else(|| Stop::broken("a transaction has no body"))?;
        return Ok(Next { stored: Some(Transaction { id, body }), ..Next::default() });
    }
    let (rows, edus) = (service.rows(&message.without)?, service.edus()?);
    if rows.is_empty() && edus.is_empty() {
        return Ok(Next::default());
    }
    // Also a service that remembers the transactions of a database that is lost meets none of them again.
    let id = now.max(health.last + 1);
    service.cache.expected = Some(id);
    Ok(Next { parts: Some(Parts { id, rows, edus }), ..Next::default() })
}

/// Stores a transaction in the place of what it is made of.
pub fn built(service: &mut Appservice<'_>, message: Built) -> Result<bool> {
    let expected = service.cache.expected.take() == Some(message.id);
    if !expected || !service.exists()? || service.in_flight()?.is_some() {
        return Ok(false);
    }
    service.settle(&message.rows, &message.edus)?;
    if let Some(body) = message.body {
        let insert = "INSERT INTO txn (id, body, created) VALUES (?, ?, ?)";
        service.sql.run(insert, values![message.id, &body, service.moment.now])?;
        let health = Health { last: message.id, ..service.health()? };
        service.set_health(&health)?;
    }
    Ok(true)
}

/// Removes the transaction that was taken, and ends the back-off.
pub fn sent(service: &mut Appservice<'_>, message: Sent) -> Result<()> {
    if !service.exists()? {
        return Ok(());
    }
    service.sql.run("DELETE FROM txn WHERE id = ?", values![message.id])?;
    let health = service.health()?;
    if health.attempts > 0 {
        service.set_health(&Health { last: health.last, ..Health::default() })?;
    }
    Ok(())
}

/// Notes that an attempt failed; answers when to try again (ms).
pub fn failed(service: &mut Appservice<'_>, message: Failed) -> Result<u64> {
    service.create()?;
    let Health { last, attempts, .. } = service.health()?;
    let pause = FIRST_PAUSE << attempts.min(MOST_DOUBLED);
    let retry_at = service.moment.now.saturating_add(pause);
    let error = Some(message.error.chars().take(LONGEST_REASON).collect());
    let attempts = attempts.saturating_add(1);
    service.set_health(&Health { last, attempts, retry_at, error })?;
    Ok(retry_at)
}

/// Ends the back-off of a service that is up: what it is owed is sent now.
pub fn retry(service: &mut Appservice<'_>, _: Retry) -> Result<()> {
    if !service.exists()? {
        return Ok(());
    }
    let Health { last, .. } = service.health()?;
    service.set_health(&Health { last, ..Health::default() })?;
    service.wake()
}

/// What an operator wants to know.
pub fn backlog(service: &mut Appservice<'_>, _: Backlog) -> Result<BacklogReply> {
    if !service.exists()? {
        return Ok(BacklogReply::default());
    }
    let (Health { attempts, retry_at, error, .. }, in_flight) =
        (service.health()?, service.in_flight()?);
    let (rows, edus, oldest) = service.count()?;
    let (transaction, created) = in_flight.unzip();
    let since = [oldest, created].into_iter().flatten().min();
    let retry_at = Some(retry_at).filter(|retry_at| *retry_at > 0);
    Ok(BacklogReply { rows, edus, transaction, since, attempts, retry_at, error })
}

/// Drops all that is owed, also the transaction that is on its way or being made. Its ID is not used again.
pub fn purge(service: &mut Appservice<'_>, _: Purge) -> Result<()> {
    if !service.exists()? {
        return Ok(());
    }
    service.clear()?;
    service.sql.run("DELETE FROM txn", values![])?;
    let given = service.cache.expected.take().unwrap_or_default();
    let last = service.health()?.last.max(given);
    service.set_health(&Health { last, ..Health::default() })
}

impl Appservice<'_> {
    /// Arms the alarm, if anything is to be sent: at once, or at the end of the back-off.
    pub fn wake(&mut self) -> Result<()> {
        if self.in_flight()?.is_some() || self.waits()? {
            let retry_at = self.health()?.retry_at;
            self.effects.alarm_at(retry_at.max(self.moment.now));
        }
        Ok(())
    }

    /// The ID of the transaction that is on its way, and when it was made (ms).
    fn in_flight(&mut self) -> Result<Option<(u64, u64)>> {
        let query = "SELECT id, created FROM txn ORDER BY id LIMIT 1";
        let row = self.sql.row(query, values![], |row| Ok((row.int(0)?, row.int(1)?)))?;
        row.map(|(id, created)| Ok((positive(id)?, positive(created)?))).transpose()
    }

    fn health(&mut self) -> Result<Health> {
        let query = "SELECT last, attempts, retry_at, error FROM service";
        let row = self.sql.row(query, values![], |row| {
            Ok((row.int(0)?, row.int(1)?, row.int(2)?, row.text_or_null(3)?))
        })?;
        let Some((last, attempts, retry_at, error)) = row else { return Ok(Health::default()) };
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        Ok(Health { last: positive(last)?, attempts, retry_at: positive(retry_at)?, error })
    }

    fn set_health(&mut self, health: &Health) -> Result<()> {
        let upsert =
            "INSERT INTO service (one, last, attempts, retry_at, error) VALUES (1, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET last = excluded.last, attempts = excluded.attempts,
                          retry_at = excluded.retry_at, error = excluded.error";
        let Health { last, attempts, retry_at, error } = health;
        self.sql.run(upsert, values![*last, *attempts, *retry_at, error.as_deref()])?;
        Ok(())
    }
}

fn positive(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Stop::broken("a number below 0"))
}
