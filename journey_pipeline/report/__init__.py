"""What people read: the page and the summary in the terminal. Tables for tools are publish's."""

from journey_pipeline.report.page import write
from journey_pipeline.report.terminal import summary

__all__ = ["summary", "write"]
