"""A camera's results to a fleet's broker, by MQTT 5.  Needs the extra ``mqtt``."""
