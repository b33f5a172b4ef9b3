# The three programs, one target each: simulator, processor, api.
#
# Node runs the TypeScript as it is, so nothing is compiled: an image is Debian, Node without npm, what npm installs for its
# program, and the sources of that program and of the packages it uses. npm leaves the workspaces as links to /relay/relay-*: that matters,
# for Node strips types from no file whose real path is in a node_modules folder.

# the same images from elsewhere, such as a mirror: --build-arg NODE_IMAGE=…
ARG NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:d6aa754f16b3197301076f047b5def2f02ea1dbbc2ca920407d46d7ec7f87b20
ARG DEBIAN_IMAGE=debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM ${NODE_IMAGE} AS node
WORKDIR /relay

# All manifests, whatever the program: npm compares the lock file with every workspace. Sources come later, so that a
# change of theirs reinstalls nothing.
FROM node AS manifests
COPY package.json package-lock.json .npmrc ./
COPY relay-common/package.json relay-common/
COPY relay-event-log/package.json relay-event-log/
COPY relay-rollups/package.json relay-rollups/
COPY relay-dead-letters/package.json relay-dead-letters/
COPY relay-access/package.json relay-access/
COPY relay-simulator/package.json relay-simulator/
COPY relay-processor/package.json relay-processor/
COPY relay-api/package.json relay-api/
COPY relay-issuer/package.json relay-issuer/
COPY relay-cli/package.json relay-cli/
COPY relay-client/package.json relay-client/
COPY relay-dashboard/package.json relay-dashboard/
COPY relay-stack/package.json relay-stack/
COPY bench/package.json bench/
COPY faults/package.json faults/
COPY hostile/package.json hostile/
COPY test-support/package.json test-support/

# No scripts and no development dependencies: `node` among those would bring a second Node of 100 MB. A third of the rest is
# for compilers and debuggers.
FROM manifests AS simulator-dependencies
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts -w relay-common -w relay-event-log -w relay-rollups -w relay-simulator
RUN ["find", "node_modules", "-name", "*.map", "-delete", "-o", "-name", "*.d.ts", "-delete", "-o", "-name", "*.d.[cm]ts", "-delete"]

FROM manifests AS processor-dependencies
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts -w relay-common -w relay-event-log -w relay-rollups -w relay-dead-letters -w relay-access \
        -w relay-processor -w relay-simulator -w relay-cli -w relay-client
RUN ["find", "node_modules", "-name", "*.map", "-delete", "-o", "-name", "*.d.ts", "-delete", "-o", "-name", "*.d.[cm]ts", "-delete"]

FROM manifests AS api-dependencies
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts -w relay-common -w relay-event-log -w relay-rollups -w relay-dead-letters -w relay-access \
        -w relay-api
RUN ["find", "node_modules", "-name", "*.map", "-delete", "-o", "-name", "*.d.ts", "-delete", "-o", "-name", "*.d.[cm]ts", "-delete"]

# The sources that all programs have. They change more often than what npm installs, so each target copies them after it.
FROM node AS sources
COPY LICENSE ./
COPY deploy/healthcheck deploy/
COPY relay-common/migrations relay-common/migrations
COPY relay-common/src relay-common/src
COPY relay-event-log/src relay-event-log/src
COPY relay-rollups/src relay-rollups/src
COPY relay-dead-letters/src relay-dead-letters/src
COPY relay-access/src relay-access/src

# What the programs have in common. Files belong to root and the program runs as `node`: it can change nothing here.
FROM ${DEBIAN_IMAGE} AS program
WORKDIR /relay
COPY --from=node /usr/local/bin/node /usr/local/bin/
RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --no-create-home --shell /usr/sbin/nologin node
LABEL org.opencontainers.image.vendor="the Relay authors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
ENV NODE_ENV=production \
    HOST=0.0.0.0
# a volume that is mounted on one of them begins as it is here, so that `relay migrate` can leave a password there
RUN install -d -o node -g node -m 700 /passwords/processor /passwords/api
# by number, so that Kubernetes can tell that it is not root
USER 1000:1000
STOPSIGNAL SIGTERM
# a program that starts has the database to wait for, and the first one has it to migrate
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["bash", "deploy/healthcheck"]

FROM program AS simulator
LABEL org.opencontainers.image.title="relay-simulator" \
      org.opencontainers.image.description="A simulated fleet of devices that sends events to the event log"
ENV HEALTH_PORT=8081
EXPOSE 8081
ENTRYPOINT ["node", "relay-simulator/src/main.ts"]
COPY --from=simulator-dependencies /relay ./
COPY --from=sources /relay ./
COPY relay-simulator/src relay-simulator/src

FROM program AS processor
LABEL org.opencontainers.image.title="relay-processor" \
      org.opencontainers.image.description="Folds device events into time-window rollups in PostgreSQL"
ENV HEALTH_PORT=8082
EXPOSE 8082
ENTRYPOINT ["node", "relay-processor/src/main.ts"]
COPY --from=processor-dependencies /relay ./
COPY --from=sources /relay ./
# `relay`, for who looks after it: it recomputes rollups by the processor's own code, so it lives in its image
COPY relay-client/src relay-client/src
COPY relay-simulator/src relay-simulator/src
COPY relay-cli/src relay-cli/src
COPY relay-processor/src relay-processor/src

FROM program AS api
LABEL org.opencontainers.image.title="relay-api" \
      org.opencontainers.image.description="Answers questions about device events over HTTP"
# a load balancer has so long to notice that it ends; with SHUTDOWN_TIMEOUT_MS that is less than the 30 s that Kubernetes gives
ENV API_PORT=8080 \
    METRICS_PORT=8084 \
    SHUTDOWN_DRAIN_MS=10000
EXPOSE 8080 8084
ENTRYPOINT ["node", "--max-semi-space-size=16", "relay-api/src/main.ts"]
COPY --from=api-dependencies /relay ./
COPY --from=sources /relay ./
COPY docs/runbook.md docs/
COPY relay-dashboard/dist relay-dashboard/dist
COPY relay-api/src relay-api/src
