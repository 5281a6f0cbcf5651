{% include "test_conformance.py" %}
