//! What a browser holds and where it may be sent: cookies, sealed values, return addresses. Pure: time, keys
//! and randomness are arguments. Knows no sessions and no provider.

mod cookies;
mod host_cookies;
mod kept_form;
mod return_to;
mod sealed;
mod ticket;

pub use cookies::{CookieScope, Cookies, Lines, parse_handle, write_handle};
pub use host_cookies::HostCookies;
pub use kept_form::{KeptForm, LONGEST_KEPT_FORM};
pub use return_to::{Origins, ReturnTo};
pub use sealed::{KeyError, NONCE_BYTES, Purpose, Sealer};
pub use ticket::{Ask, BindingName, HostBinding, Ticket};
