//! A private key that never leaves its token: PKCS#11 (OASIS, version 2.40 and later).
//!
//! The module is a library of the token's maker, loaded by name from the configuration. The
//! digest is made here and the token signs it (`CKM_ECDSA`, P-256). Every signature is verified
//! before it is given out, so neither a faulty token nor another one put in its place can make
//! evidence that nobody accepts.
//!
//! When the token fails, everything of the module is let go of and opened anew the next time:
//! a token that is plugged in again works again. A PIN that was refused once is not given again
//! by a program on its own, because a few more would lock the token.

use std::path::PathBuf;
use std::sync::Mutex;

use const_oid::db::rfc5912::SECP_256_R_1;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::asn1::OctetStringRef;
use der::{Decode as _, Encode as _};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::identity::KeyError;
use super::key::{SignError, low_der, read_private};
use crate::config::{self, secret_file};
use crate::types::lock;

/// Signed once to see whether key and certificate belong together.
const TRIAL: &[u8] = b"lingmou: does this key belong to its certificate?";

/// Why the key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error(
        "the PKCS#11 module {module} cannot be loaded ({error}); install the token's driver or \
         correct keys.token.module",
        module = .module.display()
    )]
    Module { module: PathBuf, error: Error },
    #[error("no token with {wanted} is plugged in; there is {seen}")]
    Absent { wanted: String, seen: String },
    #[error(
        "the token refuses the PIN in {file}; correct the file, then run `lingmou enroll` once, \
         which tries it",
        file = .0.display()
    )]
    Pin(PathBuf),
    #[error(
        "a wrong PIN was given to the token before; it is not tried again, because the token would \
         lock itself. Correct {file}, then run `lingmou enroll` once, which tries it",
        file = .0.display()
    )]
    PinDoubtful(PathBuf),
    #[error("the token's PIN is locked; unlock it with the tool of its maker (SO PIN)")]
    PinLocked,
    #[error("the token holds no private key with {0}; `lingmou enroll` makes one")]
    NoKey(String),
    #[error("the token holds {count} private keys with {wanted}; name one by keys.token.key_id")]
    Ambiguous { count: usize, wanted: String },
    #[error("the key in the token is not one on P-256")]
    Curve,
    #[error("the token's signature does not fit the certificate's key; is it the right token?")]
    Value,
    #[error(
        "the token has no public key beside the private one; import both, or let enroll make them"
    )]
    NoPublic,
    #[error("the token failed ({0}); is it plugged in?")]
    Failed(#[from] Error),
    #[error(transparent)]
    PinFile(#[from] KeyError),
}

impl From<TokenError> for KeyError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::PinFile(error) => error,
            other => Self::Token {
                why: other.to_string(),
            },
        }
    }
}

impl From<TokenError> for SignError {
    fn from(error: TokenError) -> Self {
        Self {
            why: error.to_string(),
        }
    }
}

/// Who asks for the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// A program that starts by itself, again and again.
    Daemon,
    /// A person, once: a PIN that was refused before is tried, and a key may be made.
    Person,
}

/// The key in the token, and its other half.
pub(crate) struct TokenKey {
    place: config::Token,
    public: VerifyingKey,
    /// `None` after a failure.
    open: Mutex<Option<Open>>,
}

impl TokenKey {
    /// Opens the key and holds it against `public`, the key of its certificate; `None` when they
    /// do not belong together.
    pub(super) fn open(
        place: &config::Token,
        public: VerifyingKey,
    ) -> Result<Option<Self>, KeyError> {
        let open = Open::new(place)?;
        match open.sign(&public, TRIAL) {
            Ok(_) => Ok(Some(Self {
                place: place.clone(),
                public,
                open: Mutex::new(Some(open)),
            })),
            Err(TokenError::Value) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the key, made in the token when it is not there; the second says whether it was.
    pub(super) fn enrol(place: &config::Token) -> Result<(Self, bool), KeyError> {
        let door = Door::open(place, Asker::Person)?;
        let made = door.find(ObjectClass::PRIVATE_KEY, place)?.is_empty();
        if made {
            door.generate(place)?;
        }
        let public = door.public(place)?;
        let key = door.private(place)?;
        let open = Open { door, key };
        open.sign(&public, TRIAL)?;
        let key = Self {
            place: place.clone(),
            public,
            open: Mutex::new(Some(open)),
        };
        Ok((key, made))
    }

    /// The other half.
    pub(super) fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// DER signature over `message`, hashed with SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut slot = lock(&self.open);
        if let Some(open) = slot.take() {
            match open.sign(&self.public, message) {
                Ok(signature) => {
                    *slot = Some(open);
                    return Ok(signature);
                }
                // Perhaps only the session ended: the token was out and is in again.
                Err(error) => tracing::warn!(%error, "the token failed and is opened anew"),
            }
        }
        let open = Open::new(&self.place)?;
        let signature = open.sign(&self.public, message)?;
        *slot = Some(open);
        Ok(signature)
    }
}

/// The key, ready to sign.
struct Open {
    door: Door,
    key: ObjectHandle,
}

impl Open {
    fn new(place: &config::Token) -> Result<Self, TokenError> {
        let door = Door::open(place, Asker::Daemon)?;
        let key = door.private(place)?;
        Ok(Self { door, key })
    }

    fn sign(&self, public: &VerifyingKey, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let digest = Sha256::digest(message);
        let raw = self
            .door
            .session()
            .sign(&Mechanism::Ecdsa, self.key, &digest)?;
        let signature = Signature::from_slice(&raw).map_err(|_other_length| TokenError::Curve)?;
        public
            .verify(message, &signature)
            .map_err(|_unfit| TokenError::Value)?;
        Ok(low_der(&signature))
    }
}

/// A session with the token, logged in.
struct Door {
    library: Pkcs11,
    /// `None` only while it is dropped.
    session: Option<Session>,
}

impl Drop for Door {
    /// The session first, then the module, so that it looks for tokens anew when opened again.
    fn drop(&mut self) {
        self.session = None;
        if let Err(error) = self.library.clone().finalize() {
            tracing::debug!(%error, "the PKCS#11 module could not be closed");
        }
    }
}

impl Door {
    fn open(place: &config::Token, asker: Asker) -> Result<Self, TokenError> {
        let module = |error| TokenError::Module {
            module: place.module.clone(),
            error,
        };
        let library = Pkcs11::new(&place.module).map_err(module)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(module(error)),
        }
        let mut door = Self {
            library,
            session: None,
        };
        let slot = door.slot(place)?;
        door.session = Some(door.log_in(slot, place, asker)?);
        Ok(door)
    }

    fn session(&self) -> &Session {
        self.session
            .as_ref()
            .expect("invariant: a door that was opened has its session until it is dropped")
    }

    /// The slot with the token that `place` names.
    fn slot(&self, place: &config::Token) -> Result<Slot, TokenError> {
        let mut seen = Vec::new();
        for slot in self.library.get_slots_with_initialized_token()? {
            let info = self.library.get_token_info(slot)?;
            let (label, serial) = (info.label(), info.serial_number());
            let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
            if fits(&place.label, label) && fits(&place.serial, serial) {
                return Ok(slot);
            }
            seen.push(format!("{label:?} (serial {serial:?})"));
        }
        let wanted = named(("label", &place.label), ("serial", &place.serial));
        let seen = if seen.is_empty() {
            "none".to_owned()
        } else {
            seen.join(", ")
        };
        Err(TokenError::Absent { wanted, seen })
    }

    fn log_in(
        &self,
        slot: Slot,
        place: &config::Token,
        asker: Asker,
    ) -> Result<Session, TokenError> {
        let file = secret_file(&place.pin_file);
        let info = self.library.get_token_info(slot)?;
        if info.user_pin_locked() {
            return Err(TokenError::PinLocked);
        }
        let doubtful = info.user_pin_count_low() || info.user_pin_final_try();
        if doubtful && asker == Asker::Daemon {
            return Err(TokenError::PinDoubtful(file));
        }
        let text = read_private(&file)?;
        let pin = AuthPin::from(text.trim_end_matches(['\r', '\n']).to_owned());
        let session = match asker {
            Asker::Daemon => self.library.open_ro_session(slot)?,
            Asker::Person => self.library.open_rw_session(slot)?,
        };
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(TokenError::Pin(file)),
            Err(error) => Err(error.into()),
        }
    }

    fn find(
        &self,
        class: ObjectClass,
        place: &config::Token,
    ) -> Result<Vec<ObjectHandle>, TokenError> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(names(place));
        Ok(self.session().find_objects(&template)?)
    }

    fn private(&self, place: &config::Token) -> Result<ObjectHandle, TokenError> {
        let wanted = || named(("label", &place.key_label), ("id", &place.key_id));
        match self.find(ObjectClass::PRIVATE_KEY, place)?.as_slice() {
            [key] => Ok(*key),
            [] => Err(TokenError::NoKey(wanted())),
            keys => Err(TokenError::Ambiguous {
                count: keys.len(),
                wanted: wanted(),
            }),
        }
    }

    /// The public key that lies beside the private one.
    fn public(&self, place: &config::Token) -> Result<VerifyingKey, TokenError> {
        for key in self.find(ObjectClass::PUBLIC_KEY, place)? {
            let found = self
                .session()
                .get_attributes(key, &[AttributeType::EcPoint])?;
            if let [Attribute::EcPoint(point)] = found.as_slice() {
                // CKA_EC_POINT is the point in a DER OCTET STRING; some tokens leave that out.
                let inner = OctetStringRef::from_der(point).map(|octets| octets.as_bytes());
                let bytes = inner.unwrap_or(point);
                return VerifyingKey::from_sec1_bytes(bytes).map_err(|_other| TokenError::Curve);
            }
        }
        Err(TokenError::NoPublic)
    }

    /// Makes a key pair of which the private half can neither be read nor copied out.
    fn generate(&self, place: &config::Token) -> Result<(), TokenError> {
        let curve = SECP_256_R_1
            .to_der()
            .expect("invariant: an object identifier encodes");
        let names = names(place);
        let with = |own: Vec<Attribute>| [own, names.clone()].concat();
        self.session().generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &with(vec![
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Verify(true),
                Attribute::EcParams(curve),
            ]),
            &with(vec![
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
            ]),
        )?;
        Ok(())
    }
}

/// By what a key is looked for, and is called when it is made.
fn names(place: &config::Token) -> Vec<Attribute> {
    let label = &place.key_label;
    let id = place.key_id_bytes().unwrap_or_default();
    let mut names = Vec::new();
    if !label.is_empty() {
        names.push(Attribute::Label(label.clone().into_bytes()));
    }
    if !id.is_empty() {
        names.push(Attribute::Id(id));
    }
    names
}

/// For messages: those of two names that were given.
fn named(first: (&str, &str), second: (&str, &str)) -> String {
    let given = [first, second]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(what, value)| format!("{what} {value:?}"));
    given.collect::<Vec<_>>().join(" and ")
}
