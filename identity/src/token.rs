//! Tokens that say who a caller is: JWTs signed with HS256 (RFC 7519), bound to a session, good for a while.

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::{Segment, SessionId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::Secret;

/// How long a token is good for: a working day; then the client signs in again.
pub const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(12);

/// Longer texts are no tokens of ours and are not looked at.
const TOKEN_LENGTH_MAX: usize = 4_096;

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: Segment,
    /// The sign-in the token came from.
    pub session: SessionId,
}

/// A signed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token, to be sent as `Authorization: Bearer`.
    pub token: String,
    /// When it ceases to be good.
    pub expires_at: DateTime<Utc>,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It was good once.
    #[error("the token has expired; sign in again")]
    Expired,
    /// It was not signed here, or was changed since.
    #[error("the token is not one of this Firefly; sign in again")]
    Foreign,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Segment,
    sid: SessionId,
    exp: i64,
}

/// Signs tokens and checks them.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Tokens {
    /// Derives the signing key from the installation's secret.
    pub fn new(secret: &Secret) -> Self {
        let key = secret.derive("session token, HS256");
        Self {
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
        }
    }

    /// Signs a token for a session.
    pub fn issue(&self, identity: &Identity, now: DateTime<Utc>) -> Issued {
        let expires_at = now + TOKEN_LIFETIME;
        let claims = Claims {
            sub: identity.user.clone(),
            sid: identity.session,
            exp: expires_at.timestamp(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("an HMAC key signs any claims");
        Issued { token, expires_at }
    }

    /// Checks a token.
    ///
    /// # Errors
    ///
    /// See [`Invalid`].
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Identity, Invalid> {
        if token.len() > TOKEN_LENGTH_MAX {
            return Err(Invalid::Foreign);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked below, against the time that was passed in.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|_| Invalid::Foreign)?
            .claims;
        if claims.exp <= now.timestamp() {
            return Err(Invalid::Expired);
        }
        Ok(Identity {
            user: claims.sub,
            session: claims.sid,
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn tokens() -> Tokens {
        let folder = tempfile::tempdir().unwrap();
        Tokens::new(&Secret::load_or_create(&folder.path().join("secret")).unwrap())
    }

    fn alice() -> Identity {
        Identity {
            user: Segment::parse("alice").unwrap(),
            session: SessionId::from_uuid(uuid::Uuid::from_u128(7)),
        }
    }

    #[test]
    fn a_token_says_who_it_was_issued_to() {
        let (tokens, now) = (tokens(), Utc::now());
        let issued = tokens.issue(&alice(), now);
        assert_eq!(tokens.verify(&issued.token, now), Ok(alice()));
    }

    #[test]
    fn a_token_expires() {
        let (tokens, now) = (tokens(), Utc::now());
        let issued = tokens.issue(&alice(), now);
        assert_eq!(
            tokens.verify(&issued.token, issued.expires_at),
            Err(Invalid::Expired)
        );
    }

    #[test]
    fn forged_tokens_are_refused() {
        let (tokens, now) = (tokens(), Utc::now());
        let token = tokens.issue(&alice(), now).token;
        let parts: Vec<&str> = token.split('.').collect();
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let somebody_else = URL_SAFE_NO_PAD.encode(
            String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap())
                .unwrap()
                .replace("alice", "mallo"),
        );
        for forged in [
            format!("{}.{}.{}", parts[0], somebody_else, parts[2]),
            format!("{unsigned}.{}.", parts[1]),
            format!("{unsigned}.{}.{}", parts[1], parts[2]),
            String::new(),
            "x".repeat(TOKEN_LENGTH_MAX + 1),
            self::tokens().issue(&alice(), now).token,
        ] {
            assert_eq!(
                tokens.verify(&forged, now),
                Err(Invalid::Foreign),
                "{forged}"
            );
        }
    }
}
