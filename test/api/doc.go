// Package api holds the interface that other programs build on to what the code
// does: the JSON Schemas in api/schemas are generated from the types, the golden
// samples are valid by them, and the documents in api name what there is.
package api
