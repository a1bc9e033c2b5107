# docker build -t hufu .
#
# Built twice, with a training run between, which makes a request cheaper (docs/performance.md): some ten minutes on two cores.
# --build-arg GUIDED=no builds once.
#
# Behind slow lines: --build-arg RUST_IMAGE=… and BASE_IMAGE=… name a registry's mirror of the two images, CARGO_MIRROR=sparse+https://… a
# mirror of crates.io, RUSTUP_DIST_SERVER=https://… one of static.rust-lang.org, and DEBIAN_MIRROR=https://… one of deb.debian.org.

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${RUST_IMAGE} AS build
ARG CARGO_MIRROR=""
ARG RUSTUP_DIST_SERVER="https://static.rust-lang.org"
ARG DEBIAN_MIRROR=""
ARG GUIDED="yes"
WORKDIR /build
# Without rust-toolchain.toml: the image has the toolchain, and rustup would fetch its own.
COPY Cargo.toml Cargo.lock hufu.toml redis.conf ./
COPY src src
COPY bench bench
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    if [ -n "$CARGO_MIRROR" ]; then \
        printf '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "%s"\n' "$CARGO_MIRROR" > /usr/local/cargo/config.toml; \
    fi && \
    if [ "$GUIDED" = yes ]; then \
        if [ -n "$DEBIAN_MIRROR" ]; then sed -i "s|https\?://deb.debian.org|$DEBIAN_MIRROR|" /etc/apt/sources.list.d/debian.sources; fi && \
        apt-get update && apt-get install -y --no-install-recommends nginx-light python3 redis-server wrk && \
        sh bench/guided.sh && cp target/guided/hufu /hufu; \
    else \
        cargo build --profile dist --locked --bin hufu && cp target/dist/hufu /hufu; \
    fi

# Debian rather than an image without a shell: the health check below needs no further program, and the image is to be had
# from every mirror of Docker Hub.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /hufu /usr/local/bin/hufu
WORKDIR /etc/hufu
# Commands in messages are then written as they are called here.
ENV HUFU_IMAGE=hufu
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# The admin listener at its default port; with another admin.listen give the container another check. Podman leaves this line out unless
# it builds with --format docker; docker-compose.yml has the same.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["hufu"]
CMD ["serve"]
