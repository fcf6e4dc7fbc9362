"""The queue for `evq worker evq_server.worker:queue`, set up by the environment."""

from evq_server.database import open_database
from evq_server.jobs import ImportJobs
from evq_server.settings import Settings

_settings = Settings.from_env()
_settings.prepare()

queue = ImportJobs(_settings, open_database(_settings.database_url)).queue
