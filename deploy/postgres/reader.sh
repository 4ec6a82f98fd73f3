#!/bin/sh
# Run by the image once, when it makes the database: the role that gateways read the history with. The recorder makes
# the tables later, as coinwire; what it makes may be read, and nothing may be written.
set -eu
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat /run/coinwire/reader_password`
CREATE ROLE coinwire_reader LOGIN PASSWORD :'password';
ALTER ROLE coinwire_reader SET default_transaction_read_only = on;
ALTER DEFAULT PRIVILEGES FOR ROLE coinwire IN SCHEMA public GRANT SELECT ON TABLES TO coinwire_reader;
SQL
