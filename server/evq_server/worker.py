"""The queue for `evq worker evq_server.worker:queue`, set up by the environment."""

from evq_server.jobs import ImportJobs
from evq_server.settings import Settings
from evq_server.store.database import open_database

_settings = Settings.from_env()
_settings.prepare()

queue = ImportJobs(_settings, open_database(_settings.database_url)).queue
