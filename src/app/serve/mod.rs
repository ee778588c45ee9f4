//! Serves `web` on a socket: one thread for all connections, a few for the store.

use std::net::SocketAddr;
use std::sync::Arc;

use super::context::{Common, open_store};
use super::exit::{self, Exit, Failure, Outcome};
use super::secrets;
use crate::model::secret::{Secret, SecretSource};
use crate::model::spec::WebSpec;
use crate::web::door::{Keys, password};
use crate::web::site::{Rules, Site};

mod fleet;
mod line;
mod listen;
mod reader;
mod thin;
mod tls;

use reader::Shared;

/// What the command line says about it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Instead of the configuration's address.
    pub listen: Option<SocketAddr>,
    /// As if the configuration said so.
    pub behind_proxy: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`Exit::Config`] where it would be open to strangers or a secret cannot be read, [`Exit::Store`], [`Exit::Failed`]
/// where the address is taken.
pub fn run(common: &Common, order: &Order) -> Outcome {
    let spec = common.spec()?;
    let mut web = spec.web.clone();
    web.listen = order.listen.unwrap_or(web.listen);
    web.behind_proxy |= order.behind_proxy;
    let refused = |text: String| Failure::new(Exit::Config, text);
    if let Some((text, mend)) = web.too_open() {
        return Err(refused(format!("{text}; {mend}")));
    }
    let keys = keys(&web).map_err(refused)?;
    let reads_only = keys.users.is_empty();
    let tls = web.tls.clone().map(tls::Tls::new).transpose().map_err(refused)?;
    // Made and brought to the present schema here, because pages only read.
    drop(open_store(&spec)?);
    let listener = listen::bind(web.listen)?;
    let at = listener.local_addr().map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", web.listen)))?;
    let secure = keys.secure;
    let names = web.names.clone();
    let site = Site::new(Rules { names, behind_proxy: web.behind_proxy, tls: tls.is_some(), keys });
    let shared = Arc::new(Shared::new(common.config_file()?, spec, site));
    let scheme = if secure && !web.behind_proxy { "https" } else { "http" };
    let who = if reads_only { "read-only: nobody can sign in" } else { "people sign in" };
    exit::print(&format!("serving {scheme}://{at}/ ({who})\n"))?;
    listen::serve(listener, tls, shared)
}

/// Every secret of the door.
fn keys(web: &WebSpec) -> Result<Keys, String> {
    let read = |whose: &str, source: &SecretSource| -> Result<Secret, String> {
        secrets::read(source).map_err(|text| format!("{whose} of <web>: {text}"))
    };
    let mut keys = Keys { secure: web.tls.is_some() || web.behind_proxy, ..Keys::default() };
    for user in &web.users {
        let whose = format!("user {}", user.name);
        let hash = read(&whose, &user.hash)?;
        password::check(hash.expose()).map_err(|text| format!("the hash of {whose} of <web> {text}"))?;
        keys.users.push((user.name.clone(), hash));
    }
    for token in &web.tokens {
        let whose = format!("token {}", token.name);
        let secret = read(&whose, &token.token)?;
        if secret.expose().len() < 16 {
            return Err(format!("{whose} of <web> is short; make one with: openssl rand -hex 32"));
        }
        keys.tokens.push((token.name.clone(), secret, token.acts));
    }
    Ok(keys)
}
