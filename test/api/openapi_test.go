package api

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi/datamodel"
)

// openAPI is the validator of api/openapi.yaml.
func openAPI(t *testing.T) validator.Validator {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join(root, "api"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocumentWithConfiguration(data, &datamodel.DocumentConfiguration{BasePath: folder, AllowFileReferences: true})
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

// TestOpenAPI: the document is one.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	if ok, wrong := openAPI(t).ValidateDocument(); !ok {
		for _, w := range wrong {
			t.Errorf("%s: %s %v", w.Message, w.Reason, w.SchemaValidationErrors)
		}
	}
}
