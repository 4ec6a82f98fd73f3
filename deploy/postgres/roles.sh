#!/bin/sh
# Gives the two roles their passwords and their rights: coinwire owns the database; coinwire_reader, which gateways read
# the history with, may read what the recorder makes later as coinwire, and may write nothing.
#
# The image runs it once, when it makes the database, and deploy/credentials.sh whenever a password may have changed. All
# or nothing: that the readers' role is there says that everything was done, and the health check asks for it.
(   # the image may source this file: its own shell keeps its options
    set -eu
    folder=${CREDENTIALS:-/run/coinwire}
    # psql takes a file that is not there for an empty password.
    for file in postgres_password reader_password; do
        [ -s "$folder/$file" ] || { echo "roles.sh: $folder/$file: missing or empty" >&2; exit 1; }
    done
    # psql reads the passwords itself, so that no command line has them; a statement that fails is not logged.
    FOLDER=$folder psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction --file - \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set owner `cat "$FOLDER/postgres_password"`
\set reader `cat "$FOLDER/reader_password"`
SET log_statement = none;
SET log_min_error_statement = panic;
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['coinwire', 'coinwire_reader']) name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE coinwire LOGIN PASSWORD :'owner';
ALTER ROLE coinwire_reader LOGIN PASSWORD :'reader';
ALTER ROLE coinwire_reader SET default_transaction_read_only = on;
SELECT format('ALTER DATABASE %I OWNER TO coinwire', current_database()) \gexec
GRANT SELECT ON ALL TABLES IN SCHEMA public TO coinwire_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE coinwire IN SCHEMA public GRANT SELECT ON TABLES TO coinwire_reader;
-- What PostgreSQL gives to everybody: temporary tables.
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) \gexec
-- Where another role made the database, it can be used from inside the container only: over the network it takes a
-- password, and it has none any more.
SELECT format('ALTER ROLE %I PASSWORD NULL', current_user) WHERE current_user <> 'coinwire' \gexec
SQL
)
