"""Publishing: the tables and the views of `sql/` where BI tools read them. What a person reads is report's."""

from journey_pipeline.publish.delivery import ask, deliver
from journey_pipeline.publish.privacy import Mask, mask
from journey_pipeline.publish.views import View, views_folder, views_of
from journey_pipeline.publish.warehouse import MONEY, publish

__all__ = ["MONEY", "Mask", "View", "ask", "deliver", "mask", "publish", "views_folder", "views_of"]
