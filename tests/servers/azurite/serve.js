// Azurite's blob service, which ends when standard input does: it outlives no test run.
process.stdin.on("end", () => process.exit()).resume();
require("azurite/dist/src/blob/main.js");
