"""Publishing: the tables and the views of `sql/` where BI tools read them. What a person reads is report's."""

from journey_pipeline.publish.warehouse import publish, views_folder

__all__ = ["publish", "views_folder"]
