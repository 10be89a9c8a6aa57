# One image for all the services; compose.yaml says which of them a container is.
FROM python:3.13-slim

RUN useradd --create-home --home-dir /data eventbus \
    && install --directory --owner eventbus /app
USER eventbus
WORKDIR /app

# The dependencies first: they change less often than the code, which an editable install only points to.
COPY --chown=eventbus pyproject.toml requirements.lock README.md LICENSE ./
COPY --chown=eventbus script/bootstrap script/
RUN mkdir eventbus && touch eventbus/__init__.py && script/bootstrap

COPY --chown=eventbus . .
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
