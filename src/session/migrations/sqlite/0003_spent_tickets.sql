-- Tickets to hosts outside the cookie domain that have been used, by their random name. Until when one would count is in
-- Unix seconds.
CREATE TABLE foregate_spent (
    ticket BLOB    PRIMARY KEY NOT NULL CHECK (length(ticket) = 16),
    until  INTEGER NOT NULL
) STRICT;

CREATE INDEX foregate_spent_until ON foregate_spent (until);
