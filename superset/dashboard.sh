#!/bin/sh
# Shows the dashboard in a Superset of its own on loopback: superset/dashboard.sh URI, where URI is SQLAlchemy's, of the
# PostgreSQL that was published to. Superset and its state stand outside the project.
set -eu
uri=${1:?usage: superset/dashboard.sh postgresql+psycopg2://user:password@host/database}
here=$(cd "$(dirname "$0")" && pwd)
home=${JOURNEY_SUPERSET:-$HOME/.cache/journey-superset}
bin=$home/venv/bin

mkdir -p "$home"
if [ ! -x "$bin/superset" ]; then
    "${PYTHON:-python3}" -m venv "$home/venv"
    # Superset 6.1 asks for less than it imports, and does not work with newer versions of what it caches with.
    "$bin/pip" install --quiet "apache-superset==6.1.*" psycopg2-binary rich cachetools "flask-caching<2.4"
fi
[ -f "$home/secret" ] || (umask 077 && "$bin/python" -c 'import secrets; print(secrets.token_urlsafe(42))' > "$home/secret")

export FLASK_APP=superset SUPERSET_HOME="$home" SUPERSET_CONFIG_PATH="$here/superset_config.py"
SUPERSET_SECRET_KEY=$(cat "$home/secret")
export SUPERSET_SECRET_KEY
"$bin/superset" db upgrade
"$bin/superset" fab create-admin --username admin --password admin --firstname A --lastname D --email admin@localhost || true
"$bin/superset" init
"$bin/superset" import-directory --overwrite "$here/bundle"
"$bin/superset" set-database-uri -d Journey -u "$uri"
echo "http://127.0.0.1:8088/superset/dashboard/journey/ (admin, admin)"
exec "$bin/superset" run --host 127.0.0.1 --port 8088
