/** The types of Node declare it where Deno's type check does not look. */
declare var console: Console
