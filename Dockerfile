# One image for the three processes: docker run … serve | worker | migrate.
# Node runs the TypeScript as it is, so nothing is built; only packages are installed.

# The version that package.json pins for development.
ARG NODE_IMAGE=node:24.21.0-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# No package of production needs its install script.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE} AS files
WORKDIR /app
COPY package.json postgraphile.tags.json5 ./
COPY platform ./platform
COPY db ./db
COPY migrations/committed ./migrations/committed
COPY services ./services
COPY plugins ./plugins
COPY server ./server
COPY worker ./worker
COPY deploy ./deploy
# In a checkout a file may be for its owner alone: graphile-migrate commits migrations so.
RUN chmod -R a+rX .

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production
COPY --from=packages /app/node_modules ./node_modules
COPY --from=files /app ./

# The image's user `node`, by number, so that orchestrators can tell it is not root.
# It owns nothing here: a read-only root file system is fine.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["sh", "deploy/healthcheck.sh"]
# Stopping takes up to 25 s: give it 30 (`docker stop --time 30`).
ENTRYPOINT ["sh", "deploy/entrypoint.sh"]
CMD ["serve"]
