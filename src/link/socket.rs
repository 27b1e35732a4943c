//! The private Unix socket between `rumqttc` and our TLS.
//!
//! It lives in Linux's abstract name space: no file is left behind, no folder must be writable,
//! and the name cannot be too long. Such a name has no permissions, so the peer is checked
//! instead: only this very process may connect.

use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

use super::LinkError;

/// A listening socket that only this process can connect to.
pub(super) struct Private {
    name: String,
    listener: UnixListener,
}

impl Private {
    /// Listens under a name nobody can guess.
    pub(super) fn bind() -> Result<Self, LinkError> {
        let name = format!("\0lingmou-link-{}", Uuid::now_v7());
        let listener = UnixListener::bind(&name).map_err(|error| LinkError::Machine {
            what: "the private socket of the link",
            why: error.to_string(),
        })?;
        Ok(Self { name, listener })
    }

    /// What to connect to; begins with the NUL that marks an abstract name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The first connection made by this process; strangers are turned away.
    pub(super) async fn accept(self) -> std::io::Result<UnixStream> {
        let own = i32::try_from(std::process::id()).ok();
        loop {
            let (stream, _) = self.listener.accept().await?;
            if own.is_some() && stream.peer_cred()?.pid() == own {
                return Ok(stream);
            }
            tracing::warn!("a foreign process connected to the link's private socket");
        }
    }
}
