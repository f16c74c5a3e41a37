/** In a notebook elsewhere: import ... from "npm:nestwalk". */
export * from "nestwalk";
