// Texts of the pages about what a project holds.
export const registry = {
  empty: {},
};
