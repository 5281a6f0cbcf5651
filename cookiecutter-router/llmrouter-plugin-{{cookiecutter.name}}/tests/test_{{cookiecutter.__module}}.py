{% include cookiecutter.kind ~ "/test_part.py" %}
