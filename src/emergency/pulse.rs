//! When a provider counts as silent, and when not any more. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::oidc::ProviderError;
use crate::outbound::OutboundError;

/// What one question told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there, whatever it said.
    Answer,
    /// Nothing, or that it is out of order: 5xx.
    Silence,
    /// Nothing about the provider: foregate could not ask, or was too late to hear it.
    Unsure,
}

/// What follows from a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It counts as silent from now on.
    Silent,
    /// It does not any more.
    Back,
}

/// The signs of one provider. It takes a row of nothing but silence to count as silent, and one answer to end that: so
/// one that comes and goes never counts as silent.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the first question of the row was asked, and how many there were.
    row: Option<(Instant, u32)>,
    pub(super) is_silent: bool,
}

impl Sign {
    /// What came of a question that took so long.
    pub(super) fn of(told: &Result<(), ProviderError>, took: Duration) -> Self {
        let Err(error) = told else { return Self::Answer };
        if took > LATE {
            return Self::Unsure;
        }
        match error {
            ProviderError::Unwell { status, .. } if *status >= 500 => Self::Silence,
            ProviderError::Unreachable { error, .. } => match error {
                OutboundError::Timeout | OutboundError::Connect(_) | OutboundError::Broken(_) => {
                    Self::Silence
                }
                OutboundError::Exhausted(_) | OutboundError::Refused(_) => Self::Unsure,
                OutboundError::TooLarge { .. } | OutboundError::Compressed { .. } => Self::Answer,
            },
            ProviderError::Interrupted => Self::Unsure,
            // Also 429: too many questions are no outage, and somebody else may ask them.
            ProviderError::Unwell { .. }
            | ProviderError::Status { .. }
            | ProviderError::Issuer { .. }
            | ProviderError::Document(_)
            | ProviderError::Algorithms { .. }
            | ProviderError::InvalidGrant { .. }
            | ProviderError::InvalidClient { .. }
            | ProviderError::Refused { .. }
            | ProviderError::NotOAuth { .. }
            | ProviderError::Page { .. }
            | ProviderError::Answer { .. }
            | ProviderError::TokenRejected { .. }
            | ProviderError::Subject
            | ProviderError::Verifier => Self::Answer,
        }
    }
}

impl Pulse {
    /// Takes in what a question told that was asked at `asked` and is over at `now`; silence counts once it has lasted for
    /// `after`.
    pub(super) fn hear(
        &mut self,
        sign: Sign,
        (asked, now): (Instant, Instant),
        after: Duration,
    ) -> Option<Turn> {
        match sign {
            Sign::Answer => {
                self.row = None;
                std::mem::take(&mut self.is_silent).then_some(Turn::Back)
            }
            // It neither opens anything nor keeps anybody out who is in.
            Sign::Unsure => {
                self.row = self.row.filter(|_| self.is_silent);
                None
            }
            Sign::Silence => {
                let (since, misses) =
                    self.row.map_or((asked, 1), |(since, misses)| (since, misses.saturating_add(1)));
                self.row = Some((since, misses));
                let lasts = misses >= FEWEST_MISSES && now.duration_since(since) >= after;
                let turns = lasts && !self.is_silent;
                self.is_silent |= lasts;
                turns.then_some(Turn::Silent)
            }
        }
    }
}

/// Questions in a row without an answer, however short `after` is.
const FEWEST_MISSES: u32 = 3;
/// A question is given up after 2 seconds; where that took longer, foregate itself was held up.
const LATE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::oidc::Step;

    fn run(signs: &[(u64, Sign)], after: u64) -> Vec<(u64, Turn)> {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        let hear = |(at, sign): &(u64, Sign)| {
            let at_time = start + Duration::from_secs(*at);
            Some((*at, pulse.hear(*sign, (at_time, at_time), Duration::from_secs(after))?))
        };
        signs.iter().filter_map(hear).collect()
    }

    #[test]
    fn silence_must_last_and_one_answer_ends_it() {
        use Sign::{Answer, Silence, Unsure};
        for (signs, after, turns) in [
            (&[(0, Silence), (5, Silence), (10, Silence)][..], 10, &[(10, Turn::Silent)][..]),
            (&[(0, Silence), (5, Silence), (9, Silence)], 10, &[]),
            (&[(0, Silence), (60, Silence)], 10, &[]),
            (&[(0, Silence), (5, Silence), (10, Answer), (15, Silence), (20, Silence)], 10, &[]),
            (&[(0, Silence), (5, Silence), (10, Unsure), (15, Silence), (20, Silence)], 10, &[]),
            (
                &[
                    (0, Silence),
                    (5, Silence),
                    (10, Silence),
                    (15, Unsure),
                    (20, Silence),
                    (25, Answer),
                    (30, Silence),
                ],
                10,
                &[(10, Turn::Silent), (25, Turn::Back)],
            ),
            (&[(0, Answer), (5, Unsure), (10, Answer)], 10, &[]),
        ] {
            assert_eq!(run(signs, after), turns, "{signs:?}");
        }
    }

    #[test]
    fn only_what_the_provider_does_is_silence() {
        let step = Step::Discovery;
        let unreachable = |error| ProviderError::Unreachable { step, error };
        for (error, sign) in [
            (unreachable(OutboundError::Timeout), Sign::Silence),
            (unreachable(OutboundError::Connect("refused".into())), Sign::Silence),
            (unreachable(OutboundError::Broken("ended".into())), Sign::Silence),
            (unreachable(OutboundError::Exhausted("too many open files".into())), Sign::Unsure),
            (unreachable(OutboundError::TooLarge { status: StatusCode::OK }), Sign::Answer),
            (ProviderError::Unwell { step, status: 503 }, Sign::Silence),
            (ProviderError::Unwell { step, status: 429 }, Sign::Answer),
            (ProviderError::Status { step, status: 404 }, Sign::Answer),
            (ProviderError::Document("x".into()), Sign::Answer),
            (ProviderError::Interrupted, Sign::Unsure),
        ] {
            assert_eq!(Sign::of(&Err(error.clone()), Duration::from_secs(2)), sign, "{error:?}");
            let late = Sign::of(&Err(error.clone()), Duration::from_secs(4));
            assert_eq!(late, Sign::Unsure, "{error:?}");
        }
        assert_eq!(Sign::of(&Ok(()), Duration::from_secs(4)), Sign::Answer);
    }
}
