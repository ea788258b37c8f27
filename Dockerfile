# One image for web, worker and scheduler; docker-compose.yml says which one a container is.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements/run.txt .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r run.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --home-dir /home/crm-mail crm-mail \
    && install -d -o crm-mail -g crm-mail -m 700 /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CRM_MAIL_DATA_DIR=/data \
    CRM_MAIL_HOST=0.0.0.0
COPY --from=build /venv /venv
WORKDIR /srv/crm-mail
COPY . .
USER crm-mail
VOLUME /data
EXPOSE 8000
# Without further settings the image is the embedded default: everything in one container, data in /data.
CMD ["python", "manage.py", "up"]
