// Texts of the pages for cloud administrators.
export const admin = {
  admin: {
    vchs: { title: "VCHs" },
    registries: { title: "Registries" },
    quotas: { title: "Quotas" },
    people: { title: "Users and groups" },
    robots: { title: "Robots of the hub" },
    gc: { title: "Garbage collection" },
    audit: { title: "Audit log" },
    settings: { title: "Settings" },
  },
};
