//! foregate's own app tokens as texts, and where a request shows one. Knows no stores and nobody's name.

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::HeaderName;
use zeroize::Zeroizing;

use super::authorization::{Authorization, Shown};

/// A text with the form of an app token: the prefix, 43 random letters and digits, and 6 that prove them free of slips.
/// Whether it stands for anybody is not known here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AppToken([u8; LENGTH]);

/// What a request shows of app tokens.
#[derive(Debug)]
pub enum ShownToken {
    /// None.
    Nothing,
    /// Something that says it is one and is not, or two that are not the same.
    Unclear,
    /// This one.
    Token {
        /// The token.
        token: AppToken,
        /// The name that came with it (RFC 7617 2), if one did.
        user: Option<String>,
    },
}

impl AppToken {
    /// Makes one of random bytes; `None` if they are too even to be random.
    pub fn from_random(random: &[u8; RANDOM_BYTES]) -> Option<Self> {
        // Bytes from 248 on would make the first letters likelier than the others.
        let mut letters = random.iter().filter(|byte| **byte < 248).map(|byte| letter(u32::from(*byte)));
        let mut text = [0; LENGTH];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for place in &mut text[PREFIX.len()..SUM_AT] {
            *place = letters.next()?;
        }
        let sum = sum(&text[..SUM_AT]);
        text[SUM_AT..].copy_from_slice(&sum);
        Some(Self(text))
    }

    /// Reads one, letter by letter.
    pub fn parse(text: &str) -> Option<Self> {
        let text: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        let sound = text.starts_with(PREFIX.as_bytes())
            && text[PREFIX.len()..].iter().all(u8::is_ascii_alphanumeric)
            && sum(&text[..SUM_AT]) == text[SUM_AT..];
        sound.then_some(Self(text))
    }

    /// The text itself, for whoever it is handed to and for hashing.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for AppToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Authorization<'_> {
    /// The app token of the request. In its own header it comes first, and then `Authorization` is the app's, unless
    /// that has another one.
    pub fn app_token(self) -> ShownToken {
        let mut lines = self.app_token_lines();
        let Some(line) = lines.next() else { return self.authorizing_token() };
        let token = line.to_str().ok().and_then(AppToken::parse);
        match (token, lines.next(), self.authorizing_token()) {
            (Some(token), None, ShownToken::Nothing) => ShownToken::Token { token, user: None },
            (Some(token), None, ShownToken::Token { token: other, user }) if token == other => {
                ShownToken::Token { token, user }
            }
            (_, _, _) => ShownToken::Unclear,
        }
    }

    /// The one that stands in `Authorization`.
    fn authorizing_token(self) -> ShownToken {
        ShownToken::in_line(self.shown())
    }
}

/// Whether an app token stands somewhere in a line of `Authorization`, good or bad, in whichever form some server might read
/// it: no affair of an app's.
pub fn holds_app_token(line: &[u8]) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=.".contains(&byte);
    line.split(|&byte| !is_word(byte)).any(|word| {
        word.starts_with(PREFIX.as_bytes()) || {
            let plain: Vec<u8> = word
                .iter()
                .map(|byte| match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    other => *other,
                })
                .collect();
            let plain = LENIENT.decode(plain).map(Zeroizing::new);
            plain.is_ok_and(|plain| memchr::memmem::find(&plain, PREFIX.as_bytes()).is_some())
        }
    })
}

/// Reads whatever anybody may take for base64.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl ShownToken {
    fn in_line(line: Shown<'_>) -> Self {
        match line {
            Shown::Bearer(token) if token.starts_with(PREFIX) => told(token, None),
            Shown::Basic(pair) => {
                let Ok(plain) = STANDARD.decode(pair).map(Zeroizing::new) else { return Self::Nothing };
                let pair = std::str::from_utf8(&plain).ok().and_then(|plain| plain.split_once(':'));
                match pair {
                    Some((user, password)) if password.starts_with(PREFIX) => {
                        told(password, (!user.is_empty()).then(|| user.to_owned()))
                    }
                    Some(_) | None => Self::Nothing,
                }
            }
            Shown::Bearer(_) | Shown::Nothing | Shown::Unclear => Self::Nothing,
        }
    }
}

fn told(text: &str, user: Option<String>) -> ShownToken {
    AppToken::parse(text).map_or(ShownToken::Unclear, |token| ShownToken::Token { token, user })
}

/// What proves a text free of slips: its CRC-32 (ISO-HDLC), in 6 letters and digits.
fn sum(text: &[u8]) -> [u8; LENGTH - SUM_AT] {
    let crc = !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let mut rest = crc;
    let mut letters = [0; LENGTH - SUM_AT];
    for place in letters.iter_mut().rev() {
        *place = letter(rest);
        rest /= 62;
    }
    letters
}

fn letter(number: u32) -> u8 {
    LETTERS[(number % 62) as usize]
}

/// How every app token begins, for those who look for lost secrets.
const PREFIX: &str = "fgt_";
/// The header that apps can be shown a token in beside an `Authorization` of their own.
pub const APP_TOKEN: HeaderName = HeaderName::from_static("x-foregate-token");
/// Random bytes that one is made of; some of them are not used.
pub const RANDOM_BYTES: usize = 96;
/// Where the sum begins: behind 43 letters, which are 256 random bits.
const SUM_AT: usize = PREFIX.len() + 43;
const LENGTH: usize = SUM_AT + 6;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    #[test]
    fn an_app_token_is_seen_in_whatever_form_it_stands() {
        let basic = |plain: &[u8]| format!("Basic {}", STANDARD.encode(plain));
        for (line, holds) in [
            ("Bearer fgt_x".to_owned(), true),
            ("Bearer\tfgt_x".to_owned(), true),
            ("Bearer \"fgt_x\"".to_owned(), true),
            ("Bearer fgt_x, Basic eDp5".to_owned(), true),
            ("Token fgt_x".to_owned(), true),
            (basic(b"bob:fgt_x"), true),
            (basic(b"bob:fgt_x").trim_end_matches('=').to_owned(), true),
            (basic(b"bob:fgt_x???>>>").replace('+', "-").replace('/', "_"), true),
            (basic(b"j\xfcrgen:fgt_x"), true),
            (basic(b"a:b:fgt_x"), true),
            (basic(b"fgt_x:"), true),
            ("Bearer eyJhbGciOi.xfgt_x.y".to_owned(), false),
            (basic(b"bob:secret"), false),
            ("Bearer".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(holds_app_token(line.as_bytes()), holds, "{line}");
        }
    }

    fn token(seed: u8) -> AppToken {
        let mut random = [0; RANDOM_BYTES];
        random.iter_mut().zip(seed..).for_each(|(place, byte)| *place = byte);
        AppToken::from_random(&random).unwrap()
    }

    #[test]
    fn the_sum_is_the_usual_one() {
        // CRC-32 of the nine digits is cbf43926: 3421780262 in base 62.
        let number = sum(b"123456789").iter().fold(0_u64, |number, byte| {
            number * 62 + LETTERS.iter().position(|letter| letter == byte).unwrap() as u64
        });
        assert_eq!(number, 0xcbf4_3926);
    }

    #[test]
    fn a_slip_makes_it_no_token() {
        let text = token(1).expose().to_owned();
        assert!(text.len() == 53 && text.starts_with("fgt_"), "{text}");
        assert_eq!(AppToken::parse(&text), Some(token(1)));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(AppToken::parse(std::str::from_utf8(&other).unwrap()), None, "{at}");
        }
        for other in ["", "fgt_", &text[1..], &text[..52], &format!("{text} "), &text.to_uppercase()] {
            assert_eq!(AppToken::parse(other), None, "{other}");
        }
        assert_eq!(AppToken::from_random(&[255; RANDOM_BYTES]), None, "no randomness");
    }

    #[test]
    fn it_is_found_in_three_places_and_never_in_two_that_differ() {
        let (one, two) = (token(1), token(2));
        let (one, two) = (one.expose(), two.expose());
        let basic =
            |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let bearer = format!("Bearer {one}");
        let broken = format!("Bearer {}x", &one[..52]);
        for (authorization, header, found) in [
            (vec![], vec![], "nothing"),
            (vec![bearer.clone()], vec![], one),
            (vec![broken.clone()], vec![], "unclear"),
            (vec!["Bearer a.b.c".to_owned()], vec![], "nothing"),
            (vec![basic("alice", one)], vec![], one),
            (vec![basic("", one)], vec![], one),
            (vec![basic("alice", "fgt_x")], vec![], "unclear"),
            (vec![basic(one, "password")], vec![], "nothing"),
            (vec![basic("alice", "password")], vec![], "nothing"),
            (vec![bearer.clone(), bearer.clone()], vec![], "nothing"),
            (vec![], vec![one], one),
            (vec!["Bearer a.b.c".to_owned()], vec![one], one),
            (vec![bearer.clone()], vec![one], one),
            (vec![bearer], vec![two], "unclear"),
            (vec![broken], vec![one], "unclear"),
            (vec![], vec![one, one], "unclear"),
            (vec![], vec!["rubbish"], "unclear"),
            (vec![], vec![""], "unclear"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &authorization {
                headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
            }
            for line in &header {
                headers.append(APP_TOKEN, HeaderValue::from_str(line).unwrap());
            }
            let told = match Authorization::of(&headers).app_token() {
                ShownToken::Nothing => "nothing".to_owned(),
                ShownToken::Unclear => "unclear".to_owned(),
                ShownToken::Token { token, .. } => token.expose().to_owned(),
            };
            assert_eq!(told, found, "{authorization:?} {header:?}");
        }
    }
}
