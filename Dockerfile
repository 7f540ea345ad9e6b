# The image runs with a read-only root, no capabilities and one volume:
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     -v workhook:/data -p 8080:8080 -p 127.0.0.1:8081:8081 workhook

# Both stages are Debian 12, so that the binary meets the C library it was linked with. This image brings gcc and
# libc6-dev, which is all that the bundled SQLite and aws-lc need: no cmake.
FROM rust:1-slim-bookworm AS build
WORKDIR /build

# The dependencies lie in a layer of their own, built from an empty crate, and are built again only when Cargo.toml
# or Cargo.lock changes. Targets that Cargo.toml names are cut out here, because their files are not there yet.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN awk '/^\[/ { cut = /^\[\[(bin|test|bench|example)\]\]/ } !cut' Cargo.toml > Cargo.cut \
    && mv Cargo.cut Cargo.toml \
    && mkdir src \
    && echo '//! Empty.' > src/lib.rs \
    && printf '//! Empty.\nfn main() {}\n' > src/main.rs \
    && cargo build --release --locked --bin workhook

# The files keep the times they have outside, which may be older than the empty crate's build; touching them has
# cargo build them.
COPY . .
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin workhook \
    && install -d -m 0700 /volume/data

FROM gcr.io/distroless/cc-debian12:nonroot

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="workhook" \
      org.opencontainers.image.description="Receives the webhooks of Leiga and WorkZappy, keeps every event before it says so, and does something useful with each." \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /build/target/release/workhook /usr/local/bin/workhook
# A new named volume takes its owner and its mode from /data; otherwise it would be root's and not writable. What COPY
# copies of a folder is what is in it, and the folder itself loses its mode: so /data lies in another one.
COPY --from=build --chown=65532:65532 /volume /

# A number, because some clusters cannot tell from a name that a user is not root.
USER 65532:65532
WORKDIR /data
VOLUME /data

ENV WORKHOOK__INGEST__LISTEN=0.0.0.0:8080 \
    WORKHOOK__ADMIN__LISTEN=0.0.0.0:8081 \
    WORKHOOK__STORE__URL=sqlite:/data/workhook.db
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/workhook", "health", "--quiet"]
ENTRYPOINT ["/usr/local/bin/workhook"]
CMD ["serve"]
