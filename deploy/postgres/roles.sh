#!/bin/sh
# Creates two roles and sets their passwords and rights. coinwire owns the database. coinwire_reader, used by gateways to
# read the history, may read all tables, including those that coinwire creates later, and may write nothing.
#
# The image runs this script once, when it sets up the database; deploy/credentials.sh runs it whenever a password may have
# changed. It runs in one transaction: if the reader's role exists, everything was done. The health check tests for it.
(   # a subshell, because the image may source this file
    set -eu
    folder=${CREDENTIALS:-/run/coinwire}
    # psql would take a missing file for an empty password.
    for file in postgres_password reader_password; do
        [ -s "$folder/$file" ] || { echo "roles.sh: $folder/$file: missing or empty" >&2; exit 1; }
    done
    # psql reads the passwords itself, so that no command line contains them. Failed statements are not logged.
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
-- PostgreSQL lets every role create temporary tables by default.
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) \gexec
-- If another role created the database, it loses its password. It can then be used only inside the container, because the
-- network requires a password.
SELECT format('ALTER ROLE %I PASSWORD NULL', current_user) WHERE current_user <> 'coinwire' \gexec
SQL
)
