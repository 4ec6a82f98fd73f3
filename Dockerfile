# One image for every part of a cluster. The command selects the part:
#   coinwire gateway                   the default
#   coinwire worker data_collection    or monitoring, integration
#   coinwire tail, export, backup, …   what people call; `coinwire --help` lists all
#   python -m simulator                replaces the upstreams

FROM python:3.13-slim AS build
RUN python -m venv --without-pip /opt/coinwire
WORKDIR /build
# Dependencies have a layer of their own, so a change of code downloads nothing and replaces only the last layer.
COPY requirements.lock ./
RUN pip --python /opt/coinwire/bin/python install --no-cache-dir --disable-pip-version-check --only-binary :all: \
        --requirement requirements.lock
# Optional extras of pyproject.toml: --build-arg EXTRAS="parquet model".
ARG EXTRAS=""
COPY pyproject.toml requirements-dev.lock .ci/lock.py ./
RUN if [ -n "$EXTRAS" ]; then \
        python lock.py --extra $EXTRAS >extras.txt && \
        pip --python /opt/coinwire/bin/python install --no-cache-dir --disable-pip-version-check --only-binary :all: \
            --constraint requirements-dev.lock --requirement extras.txt; \
    fi
# What pip would make of [project.scripts]. It needs no code, so it belongs to the layer of dependencies.
RUN printf '#!/opt/coinwire/bin/python\nfrom commands.__main__ import main\n\nmain()\n' >/opt/coinwire/bin/coinwire && \
    chmod 755 /opt/coinwire/bin/coinwire
WORKDIR /app
COPY shared shared
COPY gateway gateway
COPY workers workers
COPY simulator simulator
COPY launcher launcher
COPY commands commands
# The gateway serves it at /docs.
COPY docs docs
# The root filesystem is read-only at run time, so bytecode is compiled here. Files are made readable for the user that the
# container runs as, whatever the umask of the checkout.
RUN python -m compileall -q /app && chmod -R a+rX /app

FROM python:3.13-slim
# This stage installs and builds nothing.
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/lib/python3*/site-packages/pip* \
        /usr/local/lib/python3*/ensurepip /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/lib/python3*/ensurepip
COPY --from=build /opt/coinwire /opt/coinwire
COPY --from=build /app /app
ENV PATH=/opt/coinwire/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    LOG_FORMAT=json
WORKDIR /app
# A numeric user, so that a platform can verify that it is not root.
USER 10001:10001
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["coinwire", "probe", "http://127.0.0.1:7860/health/ready"]
CMD ["coinwire", "gateway"]
