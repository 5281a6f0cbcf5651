{% include cookiecutter.kind ~ "/part.py" %}
