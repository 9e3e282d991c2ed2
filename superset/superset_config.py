"""A Superset of one's own on loopback, to look at the dashboard. For a real one take Superset's own installation guide."""  # noqa: INP001  Superset reads this file by its path

import os

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"
TALISMAN_ENABLED = False  # loopback without TLS
WTF_CSRF_ENABLED = True
RATELIMIT_ENABLED = False
