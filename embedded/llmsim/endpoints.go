package llmsim

import "net/http"

// Paths of the API.
const (
	pathChat        = "/v1/chat/completions"
	pathEmbeddings  = "/v1/embeddings"
	pathModerations = "/v1/moderations"
	pathResponses   = "/v1/responses"
	pathFiles       = "/v1/files"
	pathBatches     = "/v1/batches"
)

// answerRoutes adds the endpoints beside chat, embeddings and models: those
// that do work count in the ledger, the others only look at what is stored.
func (s *Server) answerRoutes(mux *http.ServeMux) {
	for path, handler := range map[string]http.HandlerFunc{
		"/v1/rerank": s.rerank, "/v2/rerank": s.rerank, "/rerank": s.rerank,
	} {
		mux.HandleFunc("POST "+path, s.recorded("rerank", s.authorised(handler)))
	}
	mux.HandleFunc("POST "+pathModerations, s.recorded("moderations", s.authorised(s.moderations)))
	mux.HandleFunc("POST "+pathResponses, s.recorded("responses", s.authorised(s.postResponse)))
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET " + pathResponses + "/{id}":         s.getResponse,
		"DELETE " + pathResponses + "/{id}":      s.deleteResponse,
		"POST " + pathResponses + "/{id}/cancel": s.cancelResponse,
		"POST " + pathFiles:                      s.postFile,
		"GET " + pathFiles:                       s.listFiles,
		"GET " + pathFiles + "/{id}":             s.withFile(s.getFile),
		"DELETE " + pathFiles + "/{id}":          s.withFile(s.deleteFile),
		"GET " + pathFiles + "/{id}/content":     s.withFile(s.fileContent),
		"POST " + pathBatches:                    s.postBatch,
		"GET " + pathBatches:                     s.listBatches,
		"GET " + pathBatches + "/{id}":           s.withBatch(func(*batch) error { return nil }),
		"POST " + pathBatches + "/{id}/cancel":   s.withBatch(s.cancelBatch),
	} {
		mux.HandleFunc(pattern, s.authorised(handler))
	}
}
