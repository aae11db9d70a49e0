/** What a module that runs in a thread of its own may use of the platform: it loads nothing else of core. */

export { hostThreads, serveThread, type Thread, type ThreadEvents, type ThreadsShape } from "./host-threads.ts"
export {
  openSqlite,
  type SqliteDatabase,
  SqliteError,
  type SqliteFault,
  type SqliteRow,
  type SqliteStatement,
  type SqliteValue
} from "./sqlite.ts"
