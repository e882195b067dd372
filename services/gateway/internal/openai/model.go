package openai

import (
	"github.com/weir-dev/weir/pkg/catalog"
)

// Model is a model that requests may name.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // model
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"` // the provider, or weir
}

// Models is a list of models.
type Models struct {
	Object string  `json:"object"` // list
	Data   []Model `json:"data"`
}

// ModelsOf lists what a tenant may name: models that chat and embed, and the choices
// that are left to Weir.
func ModelsOf(c *catalog.Catalog, tenant string) Models {
	list := Models{Object: "list", Data: []Model{}}
	add := func(name string, modes ...catalog.Mode) {
		if m, err := ModelOf(c, tenant, name, modes...); err == nil {
			list.Data = append(list.Data, m)
		}
	}
	add(AutoModel)
	for _, task := range tasks(c) {
		add(TaskPrefix + task)
	}
	for _, m := range c.ChatModels() {
		add(m.ID, catalog.ModeChat)
	}
	for _, m := range c.EmbeddingModels() {
		add(m.ID, catalog.ModeEmbedding)
	}
	return list
}

// ModelOf is one that a tenant may name, of one of the modes, or of any that there
// are requests for.
func ModelOf(c *catalog.Catalog, tenant, name string, modes ...catalog.Mode) (Model, error) {
	if len(modes) == 0 {
		modes = []catalog.Mode{catalog.ModeChat, catalog.ModeEmbedding}
	}
	id, _, err := Resolve(c, tenant, name, modes...)
	if err != nil {
		return Model{}, err
	}
	out := Model{ID: name, Object: "model", OwnedBy: "weir"}
	if m, ok := c.Model(id); ok {
		out.OwnedBy = m.Provider
	}
	return out, nil
}
