"""Telling people: one message per owner of what is new, worse and over, and the library that carries it to them."""

from journey_pipeline.notify.carry import carry
from journey_pipeline.notify.message import STATE, Message, compose, notice, state

__all__ = ["STATE", "Message", "carry", "compose", "notice", "state"]
