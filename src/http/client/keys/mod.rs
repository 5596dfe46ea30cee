//! The keys of devices, for end-to-end encryption.
//! ([end-to-end encryption](https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption))

mod changes;

use crate::http::router::Router;

pub fn routes(router: &mut Router) {
    changes::routes(router);
}
