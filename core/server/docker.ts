/** The image of a built output: nothing but Node and the output, not as root, the database on a volume. */
export const dockerfile: string = `FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATABASE_URL=file:/data/happyview.db
# Set PUBLIC_URL to the origin under which clients reach the instance; without it only loopback names are answered.
WORKDIR /app
COPY --chown=node:node server ./server
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/index.mjs"]
`;

export const dockerignore: string = `.env
*.log
`;
